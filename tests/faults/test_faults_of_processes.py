"""Processes of the fleet are killed, frozen, cut off from the database: every job is recorded once all the same."""

import re
import signal
import sqlite3
import time
import uuid
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from scriptfleet.domain.ids import slot_job_id
from scriptfleet.domain.schedule import Schedule
from scriptfleet.queues import drafts
from scriptfleet.queues.events import GROUP
from scriptfleet.storage.engine import open_store
from scriptfleet.storage.schedules import ScheduleStore
from tests.broker_server import BrokerServer
from tests.eventually import eventually
from tests.faults.trial import BRIEF_SECONDS, Figures, Size, Trial
from tests.fleet_parts import Fleet, stopped
from tests.postgres_server import PostgresServer


def worker_killed(trial: Trial) -> None:
    at_work, other = trial.at_work_first()
    at_work.end(signal.SIGKILL)
    trial.tells(other, "rescued=")


def worker_frozen(trial: Trial) -> None:
    at_work, other = trial.at_work_first()
    with stopped(at_work), trial.outage(22, 60):
        pass
    trial.tells(other, "rescued=")


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
    waiting = eventually(lambda: broker.redis.lrange(queue, 0, -1), within=30, every=0.01)
    broker.redis.lpush(queue, *waiting)
    trial.a_worker_tells("not_claimed")


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


@pytest.mark.postgres
def test_every_job_is_recorded_once_when_postgresql_is_stopped(
    broker: BrokerServer, tmp_path: Path, size: Size, note: Callable[[Figures], None]
) -> None:
    with PostgresServer() as postgres:

        def postgresql_stopped(trial: Trial) -> None:
            assert trial.server is not None
            with trial.outage(5, 60):
                postgres.stop()
            postgres.start()
            trial.tells(trial.server.process, "ingest_waits")

        fleet = Fleet(tmp_path, broker.url, f"t{uuid.uuid4().hex[:12]}", postgres.url)
        try:
            trial = Trial(fleet, size)
            trial.begin()
            note(trial.run(postgresql_stopped))
        finally:
            fleet.stop()


EVERY_MS = 1_000


def test_every_slot_is_recorded_once_when_a_beat_is_killed(trial: Trial, note: Callable[[Figures], None]) -> None:
    schedules = [f"s{number}" for number in range(6 if trial.size.name == "short" else 25)]
    trial.server = trial.fleet.server()
    trial.start_workers("w1", "w2")
    trial.folder.mkdir()
    began_ms = now_ms()
    add_schedules(trial, schedules, began_ms)
    beats = [trial.fleet.beat(name) for name in ("beat1", "beat2")]
    trial.wait_for_runs(trial.size.jobs // 5)

    def beat_killed(trial: Trial) -> None:
        leader, other = sorted(beats, key=lambda beat: beat.log().count("slot_fired"), reverse=True)
        leader.end(signal.SIGKILL)
        fired_before = other.log().count("slot_fired")
        trial.wait_for_runs(trial.size.jobs)
        assert other.log().count("slot_fired") > fired_before
        other.end()
        trial.tells(other, "slot_fired")
        slots = {slot_job_id(one, due) for one in schedules for due in range(began_ms, now_ms() + EVERY_MS, EVERY_MS)}
        fired = set(re.findall(r"slot_fired .*job=(\S+)", leader.log() + other.log()))
        assert fired <= slots
        # What the killed one submitted and had no time to tell.
        trial.job_ids = sorted(fired | slots & trial.stored()[0].keys())

    note(trial.run(beat_killed))


def now_ms() -> int:
    return round(time.time() * 1000)


def add_schedules(trial: Trial, schedule_ids: list[str], due_ms: int) -> None:
    spec = drafts.of_command(trial.command("$SCRIPTFLEET_JOB_ID", BRIEF_SECONDS)).spec
    with closing(open_store(trial.fleet.database_url)) as database:
        for schedule_id in schedule_ids:
            ScheduleStore(database).add(Schedule(schedule_id, schedule_id, spec, EVERY_MS / 1000, due_ms))
