"""Processes of the fleet are killed, frozen, cut off from the database: every job is recorded once all the same."""

import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing

import pytest

from scriptfleet.queues.events import GROUP
from tests.eventually import eventually
from tests.faults.trial import Figures, Trial
from tests.fleet_parts import stopped


def worker_killed(trial: Trial) -> None:
    trial.workers[0].end(signal.SIGKILL)
    trial.tells(trial.workers[1], "rescued=")


def worker_frozen(trial: Trial) -> None:
    with stopped(trial.workers[0]), trial.outage(22, 60):
        pass
    trial.tells(trial.workers[1], "rescued=")


def results_service_killed(trial: Trial) -> None:
    assert trial.server is not None
    eventually(lambda: stopped_mid_batch(trial), within=60, every=0.01)
    trial.server.process.end(signal.SIGKILL)
    again = trial.fleet.server("server2", port=int(trial.server.url.rpartition(":")[2]))
    trial.tells(again.process, "unfinished_events_taken_up")


def stopped_mid_batch(trial: Trial) -> bool:
    """Freeze the service; go on again unless it has taken events that it has not stored."""
    assert trial.server is not None
    broker = trial.fleet.client().broker
    trial.server.process.send(signal.SIGSTOP)
    if broker.redis.xpending(broker.keys("events"), GROUP)["pending"]:
        return True
    trial.server.process.send(signal.SIGCONT)
    return False


def database_locked(trial: Trial) -> None:
    assert trial.server is not None
    path = trial.fleet.database_url.removeprefix("sqlite:///")
    with closing(sqlite3.connect(path, isolation_level=None)) as other, trial.outage(12, 60):
        other.execute("BEGIN EXCLUSIVE")
    trial.tells(trial.server.process, "ingest_waits")


def messages_delivered_twice(trial: Trial) -> None:
    broker = trial.fleet.client().broker
    queue = broker.keys("celery", "default")
    for message in broker.redis.lrange(queue, 0, -1):
        broker.redis.lpush(queue, message)
    trial.tells(trial.workers[0], "not_claimed")


@pytest.mark.parametrize(
    "fault",
    [worker_killed, worker_frozen, results_service_killed, database_locked, messages_delivered_twice],
    ids=lambda fault: fault.__name__,
)
def test_every_job_is_recorded_once(
    fault: Callable[[Trial], None], trial: Trial, note: Callable[[Figures], None]
) -> None:
    trial.begin()
    note(trial.run(fault))
