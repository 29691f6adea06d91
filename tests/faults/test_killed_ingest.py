"""Results services that are killed while they store under load: each run is stored once, whole, and none is lost."""

import json
import signal
import sqlite3
import threading
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from scriptfleet.domain.event import EVENT_VERSION, Event
from scriptfleet.queues.client import Broker
from scriptfleet.storage.engine import open_store
from tests import event_factory as make
from tests.broker_server import BrokerServer
from tests.eventually import eventually
from tests.fleet_parts import Fleet

_JOBS = 1_000
#: Jobs whose facts come one kind after the other, so that a job's own are spread over batches and services.
_MIXED = 100
_WHOLE = """
    SELECT count(*), count(DISTINCT jobs.job_id), count(curves.run_id), count(tails.run_id)
    FROM jobs JOIN runs ON runs.run_id = jobs.last_run_id AND runs.name = jobs.name
    LEFT JOIN curves ON curves.run_id = runs.run_id LEFT JOIN tails ON tails.run_id = runs.run_id
    WHERE jobs.state = 'succeeded' AND jobs.revision = 3 AND runs.outcome = 'succeeded' AND NOT runs.is_stale
    AND runs.claimed_at < runs.finished_at
"""


def send(broker: Broker, events: Sequence[Event]) -> None:
    pipeline = broker.redis.pipeline(transaction=False)
    for event in events:
        fields = {"v": EVENT_VERSION, "t": event.type, "j": event.job_id, "r": event.revision, "at": event.at_ms}
        pipeline.xadd(broker.keys("events"), {**fields, "d": json.dumps(event.data)})
    pipeline.execute()


def load(broker: Broker, count: int = _JOBS) -> None:
    for _ in range(count // _MIXED):
        jobs = [make.whole_job() for _ in range(_MIXED)]
        send(broker, [events[part] for part in range(3) for events in jobs])


def backlog(broker: Broker) -> int:
    return int(broker.redis.xlen(broker.keys("events")))


def counts(url: str, statement: str) -> tuple[int, ...]:
    with closing(open_store(url)) as database, database.reading() as connection:
        return tuple(connection.execute(sa.text(statement)).one())


def assert_each_is_stored_once(url: str, jobs: int) -> None:
    assert counts(url, "SELECT (SELECT count(*) FROM jobs), (SELECT count(*) FROM runs)") == (jobs, jobs)
    assert counts(url, _WHOLE) == (jobs,) * 4


@pytest.mark.postgres
def test_two_services_under_load_store_each_run_once_though_one_is_killed(
    broker: BrokerServer, postgres_database_url: str, tmp_path: Path
) -> None:
    fleet = Fleet(tmp_path, broker.url, "loaded", postgres_database_url)
    try:
        one, other = fleet.server("one"), fleet.server("other")
        redis = fleet.client().broker
        feeder = threading.Thread(target=load, args=(redis, 2 * _JOBS))
        feeder.start()
        eventually(lambda: counts(postgres_database_url, "SELECT count(*) FROM runs") > (_JOBS // 4,), within=60)
        one.process.end(signal.SIGKILL)
        # The same consumer: it takes up at once what it left.
        fleet.server("again", port=int(one.url.rpartition(":")[2]))
        feeder.join()

        eventually(lambda: not backlog(redis), within=90)
        assert_each_is_stored_once(postgres_database_url, 2 * _JOBS)
        assert "event_buried" not in other.process.log()
    finally:
        fleet.stop()


def test_a_service_that_is_killed_in_the_middle_of_a_batch_spoils_nothing_on_sqlite(fleet: Fleet) -> None:
    path, redis = fleet.database_url.removeprefix("sqlite:///"), fleet.client().broker

    def is_written_to() -> bool:
        with closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as asking:
            try:
                asking.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                return True
        return False

    server, port = fleet.server("first"), 0
    for name in ("second", "third"):
        port = port or int(server.url.rpartition(":")[2])
        feeder = threading.Thread(target=load, args=(redis,))
        feeder.start()
        eventually(is_written_to, within=30, every=0.001)
        server.process.end(signal.SIGKILL)
        feeder.join()
        # What it was about to store is here still.
        assert backlog(redis) > 0
        with closing(sqlite3.connect(path)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        server = fleet.server(name, port)

    eventually(lambda: not backlog(redis), within=90)
    assert_each_is_stored_once(fleet.database_url, 2 * _JOBS)
