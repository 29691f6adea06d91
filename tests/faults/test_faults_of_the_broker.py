"""The broker is killed, frozen, cut off, truncated, full: every job is recorded once all the same."""

import os
import signal
import uuid
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
import redis

from tests.broker_server import BrokerServer
from tests.eventually import eventually
from tests.faults.trial import SLOTS, Figures, Size, Trial
from tests.fleet_parts import Fleet
from tests.network_namespace import NetworkNamespace
from tests.sentinel_servers import SentinelServers

#: What the server writes for a dozen jobs or two.
CUT_BYTES = 60_000


@pytest.fixture
def cable() -> Iterator[NetworkNamespace]:
    with NetworkNamespace() as made:
        yield made


def test_every_job_is_recorded_once_when_the_broker_is_killed(
    trial: Trial, broker: BrokerServer, note: Callable[[Figures], None]
) -> None:
    def broker_killed(trial: Trial) -> None:
        with trial.outage(2, 10):
            broker.kill()
        broker.start()
        trial.tells(trial.workers[0], "broker_away")

    trial.begin()
    note(trial.run(broker_killed))


def test_every_job_is_recorded_once_when_the_broker_is_frozen(
    trial: Trial, broker: BrokerServer, note: Callable[[Figures], None]
) -> None:
    def broker_frozen(trial: Trial) -> None:
        with trial.outage(12, 20):
            broker.send(signal.SIGSTOP)
        broker.send(signal.SIGCONT)
        trial.tells(trial.workers[0], "broker_away")

    trial.begin()
    note(trial.run(broker_frozen))


def test_every_job_is_recorded_once_when_the_broker_loses_the_end_of_its_file(
    trial: Trial, broker: BrokerServer, note: Callable[[Figures], None]
) -> None:
    def broker_file_truncated(trial: Trial) -> None:
        with trial.outage(2, 5):
            broker.kill()
        os.truncate(broker.last_file, broker.last_file.stat().st_size - CUT_BYTES)
        broker.start()
        trial.tells(trial.workers[0], "broker_away")

    trial.begin()
    note(trial.run(broker_file_truncated))


def test_every_job_is_recorded_once_when_the_broker_is_full(
    trial: Trial, broker: BrokerServer, note: Callable[[Figures], None]
) -> None:
    def broker_full(trial: Trial) -> None:
        with redis.Redis.from_url(broker.url) as client:
            with trial.outage(6, 30):
                client.config_set("maxmemory", 1)
            client.config_set("maxmemory", 0)
        trial.tells(trial.workers[0], "maxmemory")

    trial.begin()
    note(trial.run(broker_full))


def test_every_job_is_recorded_once_when_a_worker_is_cut_off(
    cable: NetworkNamespace, sqlite_url: str, tmp_path: Path, size: Size, note: Callable[[Figures], None]
) -> None:
    def worker_cut_off(trial: Trial) -> None:
        with trial.outage(22, 60):
            cable.pull()
        cable.plug()
        trial.tells(trial.workers[0], "broker_away")

    broker = BrokerServer(cable.host)
    fleet = Fleet(tmp_path, broker.url, f"t{uuid.uuid4().hex[:12]}", sqlite_url)
    try:
        broker.start()
        trial = Trial(fleet, size)
        trial.start_workers("w1", start=partial(fleet.worker, slots=SLOTS, inside=cable.command))
        trial.begin(workers=2)
        note(trial.run(worker_cut_off))
    finally:
        fleet.stop()
        broker.remove()


def test_every_confirmed_job_is_recorded_once_when_sentinel_fails_over(
    sqlite_url: str, tmp_path: Path, size: Size, note: Callable[[Figures], None]
) -> None:
    with SentinelServers() as servers:

        def sentinel_failed_over(trial: Trial) -> None:
            servers.primary.kill()
            eventually(lambda: servers.primary_port() == servers.replica.port, within=60)
            trial.tells(trial.workers[0], "broker_away")

        fleet = Fleet(
            tmp_path, servers.url, f"t{uuid.uuid4().hex[:12]}", sqlite_url, {"SCRIPTFLEET_WAIT_REPLICAS": "1"}
        )
        try:
            trial = Trial(fleet, size)
            trial.begin()
            note(trial.run(sentinel_failed_over))
        finally:
            fleet.stop()
