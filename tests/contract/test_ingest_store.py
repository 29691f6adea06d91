"""What events make of the tables; one body for every kind of database."""

import dataclasses
import itertools
import threading
from collections.abc import Sequence
from contextlib import closing
from typing import Any

import pytest
import sqlalchemy as sa

from scriptfleet.domain.event import Event, EventType
from scriptfleet.domain.run import Artifact, OutputTail
from scriptfleet.domain.state import State
from scriptfleet.errors import InvalidValue, StoreUnreachable
from scriptfleet.storage.engine import Database, open_store
from scriptfleet.storage.ingest_store import IngestStore
from scriptfleet.storage.job_store import JobStore
from scriptfleet.storage.paging import PageRequest
from scriptfleet.storage.run_filter import RunFilter
from scriptfleet.storage.run_store import RunStore
from scriptfleet.storage.tables import metadata
from tests import event_factory as make

JOB, RUN, SECOND = "0a6e9f0e-5d83-4d0b-8f3c-0c2b9e2a7f10", "a" * 32, "b" * 32


def all_rows(database: Database) -> dict[str, list[Any]]:
    with database.reading() as connection:
        return {
            table.name: sorted(map(repr, connection.execute(sa.select(table)).all()))
            for table in metadata.sorted_tables
        }


def clear(database: Database) -> None:
    with database.writing() as connection:
        for table in metadata.sorted_tables:
            connection.execute(sa.delete(table))


def one_by_one(store: IngestStore, events: Sequence[Event]) -> None:
    for event in events:
        store.apply([event])


RETRIED = [
    make.submitted(JOB),
    make.claimed(JOB, RUN, 2),
    make.finished(
        make.record(JOB, RUN, State.FAILED, usage=make.usage(exit_code=3, success=False)), 3, state="delayed"
    ),
    make.claimed(JOB, SECOND, 4, attempt=2, at_ms=make.START_MS + 9000),
    make.finished(make.record(JOB, SECOND, attempt=2), 5, at_ms=make.START_MS + 9900),
]
LOST = [
    make.submitted(JOB),
    make.claimed(JOB, RUN, 2),
    make.moved(JOB, 3, State.QUEUED, run_id=RUN, reason="worker lost"),
    make.claimed(JOB, SECOND, 4, at_ms=make.START_MS + 9000),
    make.finished(make.record(JOB, RUN, State.SUCCEEDED), stale=True, at_ms=make.START_MS + 9500),
]
REPORTED_TWICE = [
    make.submitted(JOB),
    make.finished(make.record(JOB, RUN, State.FAILED), 3, state="queued"),
    make.finished(make.record(JOB, RUN, State.FAILED), stale=True, at_ms=make.START_MS + 9500),
    make.output(JOB, RUN, b"he"),
    make.output(JOB, RUN, b"llo", number=1),
]


@pytest.mark.parametrize("events", [RETRIED, LOST, REPORTED_TWICE], ids=["retried", "lost", "reported twice"])
def test_every_order_of_a_jobs_events_gives_the_same_rows(database: Database, events: list[Event]) -> None:
    store = IngestStore(database)
    store.apply(events)
    expected = all_rows(database)

    for at, order in enumerate(itertools.permutations(events)):
        clear(database)
        if at % 2:
            one_by_one(store, order)
        else:
            store.apply(order[:2])
            store.apply(order[2:])
        assert all_rows(database) == expected, [event.type for event in order]


def test_a_finished_job_has_all_that_its_events_said(database: Database) -> None:
    spec = make.shell_spec("nightly.sh", queue="reports", priority=7, labels={"team": "data"}, group="finance")
    events = [make.submitted(JOB, spec), make.claimed(JOB, RUN), make.finished(make.record(JOB, RUN))]

    new = IngestStore(database).apply(events)

    assert [(run.record.run_id, run.row.kind, run.row.is_stale) for run in new] == [(RUN, "shell", False)]
    job = JobStore(database).get(JOB)
    assert (job.name, job.kind, job.queue, job.priority, job.group_name) == (
        "nightly.sh", "shell", "reports", 7, "finance",
    )  # fmt: skip
    assert (job.labels, job.spec, job.state, job.revision) == ({"team": "data"}, spec.to_json(), State.SUCCEEDED, 3)
    assert (job.attempt, job.last_run_id) == (1, RUN)
    start = make.START_MS / 1000
    assert (job.submitted_at, job.started_at, job.finished_at) == (start, start + 1, start + 3)


def test_a_run_keeps_every_measure_unrounded_and_what_is_unknown_as_none(database: Database) -> None:
    given = make.usage(user_time_seconds=0.1 + 0.2, memory_max_mb=1 / 3)
    IngestStore(database).apply([make.submitted(JOB), make.finished(make.record(JOB, RUN, usage=given))])

    run = RunStore(database).get(RUN)

    assert run.usage == given
    assert run.usage.cpu_max is None
    assert run.usage.success is True
    assert run.began_at == 1_790_000_001.25


def test_a_repeated_batch_changes_nothing_and_reports_no_run_as_new(database: Database) -> None:
    store = IngestStore(database)
    events = [*RETRIED, make.output(JOB, RUN, b"boom\n")]
    assert len(store.apply(events)) == 2
    before = all_rows(database)

    assert store.apply(events) == []
    assert store.apply(list(reversed(events))) == []

    assert all_rows(database) == before


def test_a_stale_finish_stores_its_run_and_leaves_the_job_alone(database: Database) -> None:
    store = IngestStore(database)
    store.apply(LOST[:4])
    assert RunStore(database).get(RUN).outcome is State.LOST
    assert RunStore(database).get(RUN).usage.error_type == "WorkerLost"

    store.apply(LOST[4:])

    run, job = RunStore(database).get(RUN), JobStore(database).get(JOB)
    assert (run.outcome, run.is_stale, run.usage.execution_time_seconds) == (State.SUCCEEDED, True, 1.5)
    assert run.usage.error_type is None
    assert (job.state, job.last_run_id, job.finished_at) == (State.RUNNING, SECOND, None)


def test_a_job_that_ends_without_a_run_has_its_reason(database: Database) -> None:
    IngestStore(database).apply([make.submitted(JOB), make.moved(JOB, 2, State.EXPIRED, reason="not started in time")])

    job = JobStore(database).get(JOB)

    assert (job.state, job.reason, job.attempt, job.last_run_id) == (State.EXPIRED, "not started in time", 0, None)
    assert job.finished_at == make.START_MS / 1000 + 4


def test_output_is_given_back_byte_for_byte_and_the_tail_stands_in_where_none_came(database: Database) -> None:
    body = bytes(range(256)) * 1024
    ended = make.finished(make.record(JOB, RUN, stderr=OutputTail("only a tail\n")))
    IngestStore(database).apply([make.output(JOB, RUN, b"\xff\x00", number=1), make.output(JOB, RUN, body), ended])

    runs = RunStore(database)

    assert b"".join(runs.output(RUN, "stdout")) == body + b"\xff\x00"
    assert runs.output_end(RUN, "stdout", 4) == b"\xfe\xff\xff\x00"
    assert b"".join(runs.output(RUN, "stderr")) == b"only a tail\n"
    assert b"".join(runs.output("f" * 32, "stdout")) == b""
    with pytest.raises(InvalidValue, match="stream: 'stdin'"):
        list(runs.output(RUN, "stdin"))


def test_what_a_run_kept_is_stored_with_it_and_null_until_its_record_tells(database: Database) -> None:
    kept = [Artifact("plot.png", 6000, "a" * 64), Artifact("nul\0.txt", 0, "b" * 64)]
    store, runs = IngestStore(database), RunStore(database)
    store.apply([make.submitted(JOB), make.claimed(JOB, RUN)])

    assert runs.get(RUN).artifacts is None
    store.apply([make.finished(make.record(JOB, RUN, artifacts=kept))])
    store.apply([make.finished(make.record("other", "f" * 32))])

    assert runs.get(RUN).artifacts == [kept[0], Artifact("nul\u2400.txt", 0, "b" * 64)]
    assert runs.get("f" * 32).artifacts == []


@pytest.mark.parametrize(
    "kept",
    [
        Artifact("", 1, "a" * 64),
        Artifact("x", -1, "a" * 64),
        Artifact("x", 2**70, "a" * 64),
        Artifact("x", 1, "../../etc/passwd"),
        Artifact("x", 1, "a" * 64 + "\n"),
    ],
)
def test_an_artifact_that_cannot_be_is_refused_by_name(database: Database, kept: Artifact) -> None:
    with pytest.raises(InvalidValue, match=r"event .*: .*(artifact|artifact\.\w+): "):
        IngestStore(database).apply([make.finished(make.record(JOB, RUN, artifacts=[kept]))])


def test_bytes_that_no_text_column_holds_cost_no_run(database: Database) -> None:
    hostile = make.usage(
        error_message="nul \0 lone \ud800", custom={"bad": float("nan"), "x\0": 1.0}, cpu_max=float("inf")
    )
    made = make.record(JOB, RUN, usage=hostile, output_data={"k\0": ["\0", float("inf")]}, stdout=OutputTail("a\0b"))
    IngestStore(database).apply([make.submitted(JOB), make.finished(made)])

    run = RunStore(database).get(RUN)

    assert run.usage.error_message == "nul \u2400 lone ?"
    assert (run.usage.custom, run.usage.cpu_max) == ({"x\u2400": 1.0}, None)
    assert run.output_data == {"k\u2400": ["\u2400", None]}


def test_secrets_in_the_variables_of_a_spec_are_not_kept(database: Database) -> None:
    spec = make.shell_spec(env={"DB_PASSWORD": "clear", "VAULT_A": "clear", "MODE": "fast"}, labels={"team": "ü"})
    IngestStore(database, ["VAULT_"]).apply([make.submitted(JOB, spec)])

    kept = JobStore(database).get(JOB).spec
    hidden = {"DB_PASSWORD": "***", "VAULT_A": "***", "MODE": "fast"}
    assert kept == make.shell_spec(env=hidden, labels={"team": "ü"}).to_json()


def test_numbers_beyond_every_double_and_moments_without_a_year_are_left_out(database: Database) -> None:
    usage = make.usage(cpu_avg=10**400, custom={"rows": 10**400}, start_time="0001-01-01T00:00:00+14:00")
    IngestStore(database).apply([make.finished(make.record(JOB, RUN, usage=usage))])

    run = RunStore(database).get(RUN)
    assert (run.usage.cpu_avg, run.usage.custom, run.started_at) == (None, {}, None)


def damaged(event: Event, **data: Any) -> Event:
    return dataclasses.replace(event, data={**event.data, **data})


MALFORMED = {
    "no spec": damaged(make.submitted(JOB), spec=None),
    "spec is no JSON": damaged(make.submitted(JOB), spec="{"),
    "spec is a list": damaged(make.submitted(JOB), spec="[1]"),
    "unknown state": damaged(make.submitted(JOB), state="sleeping"),
    "no run id": damaged(make.claimed(JOB, RUN), run_id=""),
    "attempt is text": damaged(make.claimed(JOB, RUN), attempt="1"),
    "record is a string": damaged(make.finished(make.record(JOB, RUN)), record="x"),
    "measure of another type": make.finished(make.record(JOB, RUN, usage=make.usage(exit_code="zero"))),
    "measure over 64 bits": make.finished(make.record(JOB, RUN, usage=make.usage(page_faults_minor=2**70))),
    "priority over 32 bits": make.submitted(JOB),
    "no base64": damaged(make.output(JOB, RUN, b"x"), body="***"),
    "no zlib": damaged(make.output(JOB, RUN, b"x"), body="aGVsbG8="),
    "unfolds too far": make.output(JOB, RUN, bytes(300_000)),
    "unknown stream": make.output(JOB, RUN, b"x", stream="stdin"),
    "moment after the year 9999": dataclasses.replace(make.submitted(JOB), at_ms=10**15),
    "moment beyond every float": dataclasses.replace(make.submitted(JOB), at_ms=10**400),
    "revision over 64 bits": dataclasses.replace(make.submitted(JOB), revision=2**70),
}
MALFORMED["priority over 32 bits"].data["spec"] = '{"kind":"shell","name":"x","priority":99999999999}'


@pytest.mark.parametrize("event", MALFORMED.values(), ids=MALFORMED.keys())
def test_a_malformed_event_is_refused_by_name_and_takes_nothing_with_it(database: Database, event: Event) -> None:
    with pytest.raises(InvalidValue):
        IngestStore(database).apply([*make.whole_job(), event])

    assert not any(all_rows(database).values())


def test_two_writers_at_once_lose_nothing_and_store_nothing_twice(database: Database, database_url: str) -> None:
    jobs = [make.whole_job() for _ in range(60)]
    submits, rest = [events[0] for events in jobs], [event for events in jobs for event in events[1:]]
    batches = [[*submits[at::6], *rest[(5 - at) :: 6]] for at in range(6)] * 2
    new: list[str] = []

    def write(share: list[list[Event]]) -> None:
        opened = open_store(database_url)
        for batch in share:
            new.extend(run.record.run_id for run in IngestStore(opened).apply(batch))
        opened.close()

    threads = [threading.Thread(target=write, args=(share,)) for share in (batches, list(reversed(batches)))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    runs = RunStore(database).page(RunFilter(), PageRequest(500)).items
    assert (len(runs), len(new), len(set(new))) == (60, 60, 60)
    assert {(run.name, run.kind, run.queue, run.worker) for run in runs} == {
        ("hello.sh", "shell", "default", "worker-1@host-1")
    }


def test_sqlite_has_facts_on_the_disk_when_they_are_stored_and_leaves_the_rest_to_the_system(sqlite_url: str) -> None:
    with closing(open_store(sqlite_url)) as database:
        for is_synced, level in ((True, 2), (False, 1), (True, 2)):
            with database.writing(is_synced=is_synced) as connection:
                assert connection.scalar(sa.text("PRAGMA synchronous")) == level


def test_a_database_without_tables_says_so(empty_database_url: str) -> None:
    database = open_store(empty_database_url)
    try:
        with pytest.raises(StoreUnreachable, match="no usable database at"):
            IngestStore(database).apply([make.submitted(JOB)])
    finally:
        database.close()


def test_every_type_of_event_has_a_reader(database: Database) -> None:
    for kind in EventType:
        with pytest.raises(InvalidValue, match=f"a well-formed {kind} event"):
            IngestStore(database).apply([make.event(kind, JOB, 1)])


@pytest.mark.postgres
def test_a_value_that_only_the_database_refuses_is_told_as_such(postgres_database_url: str) -> None:
    database = open_store(postgres_database_url)
    with database.writing() as connection:
        connection.execute(sa.text("ALTER TABLE jobs ADD CONSTRAINT short CHECK (length(name) < 4)"))

    with pytest.raises(InvalidValue, match=r'row: .* violates check constraint "short"'):
        IngestStore(database).apply([make.submitted(JOB)])

    assert not any(all_rows(database).values())
    database.close()


@pytest.mark.postgres
def test_a_server_that_ends_the_connection_is_told_and_the_next_try_works(postgres_database_url: str) -> None:
    database = open_store(postgres_database_url)
    store = IngestStore(database)
    events = make.whole_job()

    with pytest.raises(StoreUnreachable), database.writing() as connection:
        connection.execute(sa.text("SELECT pg_terminate_backend(pg_backend_pid())"))

    assert len(store.apply(events)) == 1
    database.close()


ENDED = [make.submitted(JOB), make.claimed(JOB, RUN, 2), make.finished(make.record(JOB, RUN), 3)]
#: What a server tells that has forgotten the end, and one that has forgotten the claim too.
RUN_AGAIN = {
    "after a rescue": [
        make.moved(JOB, 3, State.QUEUED, run_id=RUN, reason="its worker was lost"),
        make.claimed(JOB, SECOND, 4),
        make.finished(make.record(JOB, SECOND, State.FAILED), 5),
    ],
    "from the queue": [make.claimed(JOB, SECOND, 2), make.finished(make.record(JOB, SECOND, State.FAILED), 3)],
    "with the clock as revision": [
        make.claimed(JOB, SECOND, make.START_MS),
        make.finished(make.record(JOB, SECOND, State.FAILED), make.START_MS + 1),
    ],
}


@pytest.mark.parametrize("again", RUN_AGAIN.values(), ids=list(RUN_AGAIN))
@pytest.mark.parametrize("is_one_batch", [True, False])
def test_an_end_that_is_recorded_stands_when_the_server_forgot_it_and_had_the_job_run_again(
    database: Database, again: list[Event], is_one_batch: bool
) -> None:
    store = IngestStore(database)
    if is_one_batch:
        store.apply([*ENDED, *again])
    else:
        one_by_one(store, [*ENDED, *again])

    job = JobStore(database).get(JOB)
    assert (job.state, job.last_run_id) == (State.SUCCEEDED, RUN)
    page = RunStore(database).page(RunFilter(job_id=JOB), PageRequest())
    assert {run.run_id: (run.outcome, run.is_stale) for run in page.items} == {
        RUN: (State.SUCCEEDED, False),
        SECOND: (State.FAILED, True),
    }


def test_a_run_whose_end_the_broker_lost_is_lost_once_another_has_ended_its_job(database: Database) -> None:
    store = IngestStore(database)
    told = [make.submitted(JOB), make.claimed(JOB, RUN, 2), make.claimed(JOB, SECOND, 2)]
    one_by_one(store, [*told, make.finished(make.record(JOB, SECOND), 3)])

    found = RunStore(database).get(RUN)
    assert (found.outcome, found.usage.error_type, found.is_stale) == (State.LOST, "RunForgotten", False)
    store.apply([make.finished(make.record(JOB, RUN, State.FAILED), stale=True)])
    found = RunStore(database).get(RUN)
    assert (found.outcome, found.is_stale) == (State.FAILED, True)


def test_a_job_that_was_put_back_on_purpose_after_its_end_ends_anew(database: Database) -> None:
    again = [make.claimed(JOB, SECOND, 5), make.finished(make.record(JOB, SECOND, State.FAILED), 6)]
    one_by_one(IngestStore(database), [*ENDED, make.moved(JOB, 4, State.QUEUED), *again])

    job = JobStore(database).get(JOB)
    assert (job.state, job.last_run_id) == (State.FAILED, SECOND)
