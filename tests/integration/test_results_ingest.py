"""The ingest with a real broker and a real database, and with each of them failing."""

import json
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
import redis
import sqlalchemy as sa

from scriptfleet.domain.event import EVENT_VERSION, Event
from scriptfleet.domain.state import State
from scriptfleet.errors import StoreUnreachable
from scriptfleet.queues.events import GROUP, EventReader
from scriptfleet.queues.keys import Keys
from scriptfleet.results.ingest import Ingest
from scriptfleet.storage.engine import Database, open_store
from scriptfleet.storage.event_rows import Batch
from scriptfleet.storage.ingest_store import FinishedRun, IngestStore
from scriptfleet.storage.paging import PageRequest
from scriptfleet.storage.quick_said import quick_said
from scriptfleet.storage.run_filter import RunFilter
from scriptfleet.storage.run_store import RunStore
from tests import event_factory as make
from tests.eventually import eventually

KEYS = Keys("scriptfleet")


def send(client: redis.Redis, events: Sequence[Event]) -> None:
    for event in events:
        fields = {"v": EVENT_VERSION, "t": str(event.type), "j": event.job_id, "r": event.revision, "at": event.at_ms}
        client.xadd(KEYS("events"), {**fields, "d": json.dumps(event.data)})


def runs_in(database: Database) -> list[State | None]:
    return [run.outcome for run in RunStore(database).page(RunFilter(), PageRequest(500)).items]


class FailingStore(IngestStore):
    """The real store, with its first tries failing."""

    def __init__(self, database: Database, times: int) -> None:
        super().__init__(database)
        self.left = times

    def apply(self, events: Sequence[Event], folded: Batch | None = None) -> list[FinishedRun]:
        if self.left:
            self.left -= 1
            raise StoreUnreachable("postgresql://away", "connection refused")
        return super().apply(events, folded)


class OvertakenStore(IngestStore):
    """The real store, whose first write is cut off at its end; another service stores some of its facts meanwhile."""

    def __init__(self, database: Database, overtaking: list[Event]) -> None:
        super().__init__(database)
        self._other, self._overtaking = IngestStore(database), overtaking

    def apply(self, events: Sequence[Event], folded: Batch | None = None) -> list[FinishedRun]:
        if not self._overtaking:
            return super().apply(events, folded)
        with pytest.raises(StoreUnreachable):
            super().apply(events, folded)
        self._other.apply(self._overtaking)
        self._overtaking = []
        raise StoreUnreachable("postgresql://away", "terminating connection")

    def _write_runs(self, *batch: Any, is_careful: bool) -> None:
        super()._write_runs(*batch, is_careful=is_careful)
        if self._overtaking:
            raise StoreUnreachable("postgresql://away", "terminating connection")


class ForgetfulReader(EventReader):
    """The real reader, whose first `done` is lost on its way."""

    losses = 1

    def done(self, entry_ids: Sequence[str]) -> None:
        if self.losses:
            self.losses -= 1
            raise redis.ConnectionError("connection reset")
        super().done(entry_ids)


class StumblingStore(IngestStore):
    """The real store, which fails in a way that nobody foresaw over events of one job."""

    def apply(self, events: Sequence[Event], folded: Batch | None = None) -> list[FinishedRun]:
        if any(event.job_id == "job-odd" for event in events):
            raise LookupError("nobody foresaw this")
        return super().apply(events, folded)


class StumblingReader(EventReader):
    """The real reader, whose first read fails in a way that nobody foresaw."""

    stumbles = 1

    def read(self, count: int = 500, block_ms: int = 500) -> list[Event]:
        if self.stumbles:
            self.stumbles -= 1
            raise LookupError("nobody foresaw this")
        return super().read(count, block_ms)


@contextmanager
def ingesting(ingest: Ingest) -> Iterator[Ingest]:
    ingest.start()
    try:
        yield ingest
    finally:
        ingest.stop()


Start = Callable[[Database, str], Ingest]


@pytest.fixture
def counted() -> list[FinishedRun]:
    return []


def reader(client: redis.Redis, name: str = "one") -> EventReader:
    return EventReader(client, KEYS, name, quick_read=quick_said)


def test_what_the_broker_holds_comes_into_the_store_and_is_forgotten(
    redis_client: redis.Redis, database: Database, counted: list[FinishedRun]
) -> None:
    send(redis_client, [event for _ in range(20) for event in make.whole_job()])

    with ingesting(Ingest(reader(redis_client), IngestStore(database), counted.append)) as ingest:
        eventually(lambda: redis_client.xlen(KEYS("events")) == 0)
        eventually(lambda: ingest.lag_seconds() == 0.0)
        assert ingest.backlog() == 0
        assert ingest.trouble is None

    assert runs_in(database) == [State.SUCCEEDED] * 20
    assert len(counted) == 20
    assert not ingest.is_alive()


def test_while_the_database_is_away_events_wait_and_none_is_lost(
    redis_client: redis.Redis, sqlite_url: str, counted: list[FinishedRun]
) -> None:
    database = open_store(sqlite_url)
    send(redis_client, make.whole_job())
    store = FailingStore(database, times=2)

    with ingesting(Ingest(reader(redis_client), store, counted.append)) as ingest:
        eventually(lambda: "connection refused" in (ingest.trouble or ""))
        assert redis_client.xlen(KEYS("events")) == 3
        assert ingest.lag_seconds() >= 0
        eventually(lambda: redis_client.xlen(KEYS("events")) == 0)
        eventually(lambda: ingest.trouble is None)

    assert runs_in(database) == [State.SUCCEEDED]
    assert len(counted) == 1
    database.close()


def test_a_stop_while_the_database_is_away_leaves_the_events_to_the_next(
    redis_client: redis.Redis, sqlite_url: str, counted: list[FinishedRun]
) -> None:
    database = open_store(sqlite_url)
    send(redis_client, make.whole_job())
    with ingesting(Ingest(reader(redis_client), FailingStore(database, times=999), counted.append)) as ingest:
        eventually(lambda: ingest.trouble is not None)

    assert not ingest.is_alive()
    assert redis_client.xlen(KEYS("events")) == 3
    with ingesting(Ingest(reader(redis_client), IngestStore(database), counted.append)):
        eventually(lambda: redis_client.xlen(KEYS("events")) == 0)
    assert runs_in(database) == [State.SUCCEEDED]
    database.close()


def test_a_bad_event_is_buried_with_its_reason_and_the_others_are_stored(
    redis_client: redis.Redis, database: Database, counted: list[FinishedRun]
) -> None:
    events = [event for _ in range(10) for event in make.whole_job()]
    bad = make.finished(make.record("job-bad", "run-bad", usage=make.usage(exit_code="zero \ud800")))
    send(redis_client, [*events[:13], bad, *events[13:], make.claimed("job-odd", "")])

    with ingesting(Ingest(reader(redis_client), IngestStore(database), counted.append)):
        eventually(lambda: redis_client.xlen(KEYS("events")) == 0)

    assert runs_in(database) == [State.SUCCEEDED] * 10
    assert len(counted) == 10
    dead = [fields for _, fields in redis_client.xrange(KEYS("events", "dead"))]
    assert [fields[b"j"] for fields in dead] == [b"job-bad", b"job-odd"]
    assert b"exit_code: 'zero" in dead[0][b"reason"]


def test_events_that_were_stored_but_not_forgotten_are_counted_once(
    redis_client: redis.Redis, sqlite_url: str, counted: list[FinishedRun]
) -> None:
    database = open_store(sqlite_url)
    send(redis_client, make.whole_job())

    with ingesting(Ingest(ForgetfulReader(redis_client, KEYS, "one"), IngestStore(database), counted.append)):
        eventually(lambda: redis_client.xlen(KEYS("events")) == 0)

    assert runs_in(database) == [State.SUCCEEDED]
    assert len(counted) == 1
    database.close()


def test_runs_of_all_batches_are_counted_once_though_the_broker_was_not_told_of_some(
    redis_client: redis.Redis, database: Database, counted: list[FinishedRun]
) -> None:
    jobs = [make.whole_job() for _ in range(30)]
    for part in range(3):
        send(redis_client, [events[part] for events in jobs])
    source = ForgetfulSmallReads(redis_client, KEYS, "one")
    source.losses = 3

    with ingesting(Ingest(source, IngestStore(database), counted.append)) as ingest:
        eventually(lambda: redis_client.xlen(KEYS("events")) == 0, within=60)
        eventually(lambda: ingest.trouble is None)

    assert len({run.record.run_id for run in counted}) == len(counted) == 30
    assert runs_in(database) == [State.SUCCEEDED] * 30


def test_a_broker_that_is_away_is_told_and_the_thread_lives(sqlite_url: str, counted: list[FinishedRun]) -> None:
    database = open_store(sqlite_url)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        client = redis.Redis(port=unused.getsockname()[1])
        with ingesting(Ingest(reader(client), IngestStore(database), counted.append)) as ingest:
            eventually(lambda: "refused" in (ingest.trouble or ""))
            assert ingest.is_alive()
        client.close()
    database.close()


def test_what_nobody_foresaw_over_one_event_buries_it_with_a_traceback_and_the_others_are_stored(
    redis_client: redis.Redis, database: Database, counted: list[FinishedRun], caplog: pytest.LogCaptureFixture
) -> None:
    events = [event for _ in range(10) for event in make.whole_job()]
    send(redis_client, [*events[:7], make.claimed("job-odd", "run-odd"), *events[7:]])

    with ingesting(Ingest(reader(redis_client), StumblingStore(database), counted.append)) as ingest:
        eventually(lambda: redis_client.xlen(KEYS("events")) == 0)
        eventually(lambda: ingest.buried() == 1)
        assert ingest.is_alive()

    assert runs_in(database) == [State.SUCCEEDED] * 10
    [(_, dead)] = redis_client.xrange(KEYS("events", "dead"))
    assert (dead[b"j"], dead[b"reason"]) == (b"job-odd", b"LookupError('nobody foresaw this')")
    assert "Traceback" in caplog.text


def test_what_nobody_foresaw_elsewhere_is_told_and_tried_again(
    redis_client: redis.Redis, database: Database, counted: list[FinishedRun]
) -> None:
    send(redis_client, make.whole_job())

    with ingesting(Ingest(StumblingReader(redis_client, KEYS, "one"), IngestStore(database), counted.append)) as ingest:
        eventually(lambda: redis_client.xlen(KEYS("events")) == 0)
        eventually(lambda: ingest.trouble is None)

    assert len(counted) == 1


def test_a_moment_beyond_every_calendar_is_buried_and_the_thread_lives(
    redis_client: redis.Redis, database: Database, counted: list[FinishedRun]
) -> None:
    send(redis_client, [make.submitted("job-late", at_ms=10**400), *make.whole_job()])

    with ingesting(Ingest(reader(redis_client), IngestStore(database), counted.append)):
        eventually(lambda: redis_client.xlen(KEYS("events")) == 0)

    assert len(counted) == 1
    assert redis_client.xlen(KEYS("events", "dead")) == 1


def test_while_a_table_is_missing_events_wait_and_none_is_buried(
    redis_client: redis.Redis, database: Database, counted: list[FinishedRun]
) -> None:
    with database.writing() as connection:
        connection.execute(sa.text("ALTER TABLE tails RENAME TO hidden"))
    send(redis_client, make.whole_job())

    with ingesting(Ingest(reader(redis_client), IngestStore(database), counted.append)) as ingest:
        eventually(lambda: "its tables or rights do not fit" in (ingest.trouble or ""))
        with database.writing() as connection:
            connection.execute(sa.text("ALTER TABLE hidden RENAME TO tails"))
        eventually(lambda: redis_client.xlen(KEYS("events")) == 0)
        assert ingest.buried() == 0

    [run] = RunStore(database).page(RunFilter(), PageRequest(2)).items
    # The rows that were made before it failed had been changed by then.
    assert (run.outcome, run.claimed_at) == (State.SUCCEEDED, make.START_MS / 1000 + 1)


def test_a_claim_is_kept_though_another_stored_the_end_before_a_write_was_tried_again(
    redis_client: redis.Redis, database: Database, counted: list[FinishedRun]
) -> None:
    # Of an attempt that is not the last: rows of jobs that are over are made anew in any case.
    failed = make.finished(make.record("job-1", "run-1", State.FAILED), state="queued")
    send(redis_client, [make.submitted("job-1"), make.claimed("job-1", "run-1"), failed])
    source = EventReader(redis_client, KEYS, "one")

    with ingesting(Ingest(source, OvertakenStore(database, [failed]), counted.append)):
        eventually(lambda: redis_client.xlen(KEYS("events")) == 0)

    [run] = RunStore(database).page(RunFilter(), PageRequest(2)).items
    assert (run.outcome, run.claimed_at) == (State.FAILED, make.START_MS / 1000 + 1)
    assert counted == []


def test_a_clean_stop_leaves_the_group_unless_something_is_not_done(
    redis_client: redis.Redis, sqlite_url: str, counted: list[FinishedRun]
) -> None:
    def consumers() -> list[bytes]:
        return [found["name"] for found in redis_client.xinfo_consumers(KEYS("events"), GROUP)]

    database = open_store(sqlite_url)
    send(redis_client, make.whole_job())
    with ingesting(Ingest(reader(redis_client, "away"), FailingStore(database, 999), counted.append)) as ingest:
        eventually(lambda: ingest.trouble is not None)
    assert consumers() == [b"away"]

    with ingesting(Ingest(reader(redis_client, "away"), IngestStore(database), counted.append)):
        eventually(lambda: redis_client.xlen(KEYS("events")) == 0)
    assert consumers() == []
    database.close()


def test_a_consumer_of_a_server_that_was_wiped_has_nothing_to_leave(redis_client: redis.Redis) -> None:
    reader(redis_client).leave()


@pytest.mark.postgres
def test_two_ingests_on_one_database_store_every_run_once(
    redis_client: redis.Redis, postgres_database_url: str, counted: list[FinishedRun]
) -> None:
    databases = [open_store(postgres_database_url) for _ in range(2)]
    jobs = [make.whole_job() for _ in range(150)]
    for part in range(3):
        send(redis_client, [events[part] for events in jobs])

    first, second = (
        Ingest(SmallReads(redis_client, KEYS, f"ingest-{at}"), IngestStore(database), counted.append)
        for at, database in enumerate(databases)
    )
    with ingesting(first), ingesting(second):
        eventually(lambda: redis_client.xlen(KEYS("events")) == 0, within=60)

    with databases[0].reading() as connection:
        named = connection.execute(sa.text("SELECT count(*) FROM runs WHERE name = 'hello.sh'")).scalar()
    assert (len(runs_in(databases[0])), named) == (150, 150)
    assert len({run.record.run_id for run in counted}) == len(counted) == 150
    for database in databases:
        database.close()


class SmallReads(EventReader):
    """The real reader, in small batches, so that two share the work."""

    def read(self, count: int = 500, block_ms: int = 500) -> list[Event]:
        return super().read(min(count, 7), block_ms)


class ForgetfulSmallReads(ForgetfulReader, SmallReads):
    """Both: small batches, of which some are not known to be done."""
