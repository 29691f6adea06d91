"""Large batches go another way into the tables than small ones; the rows are the same, on every kind of database."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
import sqlalchemy as sa

from scriptfleet.domain.event import Event
from scriptfleet.domain.ids import new_job_id, new_run_id
from scriptfleet.domain.run import OutputTail
from scriptfleet.domain.state import State
from scriptfleet.storage import tables
from scriptfleet.storage.bulk import BulkInsert
from scriptfleet.storage.engine import Database, open_store
from scriptfleet.storage.ingest_store import IngestStore
from scriptfleet.storage.job_store import JobStore
from scriptfleet.storage.paging import PageRequest
from scriptfleet.storage.run_filter import RunFilter
from scriptfleet.storage.run_store import RunStore
from tests import event_factory as make
from tests.contract.test_ingest_store import all_rows, clear, one_by_one
from tests.eventually import eventually


def odd_job(number: int) -> list[Event]:
    """Give a job of every kind of row, with values that a line of text could break."""
    job_id, first, second = new_job_id(), new_run_id(), new_run_id()
    odd = f'tab\t back\\slash \\N \\n new\nline \r \u2028 ü "quoted" \x01 \x7f,\n\\.\nnull {number}'
    spec = make.shell_spec(f"job {number}\\.sh", labels={"team": "a\\tb", "x": '"'}, group=odd, priority=number % 10)
    usage = make.usage(
        error_message=odd,
        cpu_avg=0.1 + 0.2,
        custom={"rows\\n": 1e300},
        signal=9,
        error_type="null",
        platform="",
        io_method="None",
    )
    end = make.record(job_id, second, usage=usage, output_data={"\\": [odd, None]}, stdout=OutputTail(odd))
    return [
        make.submitted(job_id, spec),
        make.claimed(job_id, first),
        make.moved(job_id, 3, State.QUEUED, run_id=first, reason=odd),
        make.claimed(job_id, second, 4, at_ms=make.START_MS + 9000),
        make.output(job_id, second, bytes(range(256))),
        make.finished(end, 5) if number % 3 else make.moved(job_id, 5, State.LOST, run_id=second, reason=odd),
    ]


@pytest.mark.parametrize("jobs", [3, 60])
def test_many_jobs_in_one_batch_give_the_rows_that_they_give_one_by_one(database: Database, jobs: int) -> None:
    store, events = IngestStore(database), [event for number in range(jobs) for event in odd_job(number)]
    one_by_one(store, events)
    expected = all_rows(database)

    for order in (events, events[::-1]):
        clear(database)
        store.apply(order)
        assert all_rows(database) == expected
        store.apply(order)
        assert all_rows(database) == expected


@pytest.mark.parametrize("claim_last", [False, True])
def test_a_claim_is_known_whether_it_came_with_the_record_or_apart(database: Database, claim_last: bool) -> None:
    jobs = [(new_job_id(), new_run_id()) for _ in range(30)]
    claims = [make.claimed(job_id, run_id) for job_id, run_id in jobs]
    ends = [make.finished(make.record(job_id, run_id)) for job_id, run_id in jobs]
    store = IngestStore(database)
    store.apply(ends if claim_last else claims)
    store.apply([*claims, *ends])

    found = RunStore(database).page(RunFilter(), PageRequest(100)).items
    assert {run.claimed_at for run in found} == {make.START_MS / 1000 + 1}
    assert len(found) == 30


@pytest.mark.postgres
def test_a_row_that_cannot_be_written_is_told_as_it_is_and_not_as_a_database_that_is_away(
    postgres_database_url: str,
) -> None:
    with closing(open_store(postgres_database_url)) as database:
        insert = BulkInsert(
            database.insert_into(tables.labels).on_conflict_do_nothing(),
            tables.labels.c.keys(),
            database.engine.dialect,
        )
        rows = [{"job_id": f"job {number}", "name": "half", "value": "\ud83d"} for number in range(30)]

        with pytest.raises(UnicodeEncodeError), database.writing() as connection:
            insert.write(connection, rows, known=())


@pytest.mark.postgres
def test_jobs_that_another_service_stores_between_the_look_and_the_write_are_merged(postgres_database_url: str) -> None:
    database, jobs = open_store(postgres_database_url), [make.whole_job() for _ in range(40)]
    events = [event for job in jobs for event in job]
    waits = sa.text(
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    )

    def is_waiting() -> bool:
        # A transaction sees one moment of that view.
        with database.reading() as watching:
            return watching.scalar(waits) == 1

    with ThreadPoolExecutor(1) as pool:
        with database.writing() as other:
            insert = sa.insert(tables.jobs).values(state="queued", revision=0, attempt=0, run_revision=0)
            other.execute(insert.values(job_id=jobs[7][0].job_id, submitted_at=make.START_MS / 1000))
            stored = pool.submit(IngestStore(database).apply, events)
            eventually(is_waiting)
        new = stored.result(30)

    assert {run.record.job_id for run in new} == {job[0].job_id for job in jobs}
    found = RunStore(database).page(RunFilter(), PageRequest(100)).items
    assert {(run.name, run.outcome) for run in found} == {("hello.sh", State.SUCCEEDED)}
    assert len(found) == len(new) == 40
    assert JobStore(database).get(jobs[7][0].job_id).state == State.SUCCEEDED
    database.close()


@pytest.mark.postgres
def test_texts_come_through_a_connection_of_any_encoding(postgres_database_url: str) -> None:
    url = sa.make_url(postgres_database_url).update_query_dict({"client_encoding": "latin1"})
    database = open_store(url.render_as_string(hide_password=False))
    store = IngestStore(database)
    store.apply([make.submitted(new_job_id(), make.shell_spec(name="hör zu")) for _ in range(30)])

    with database.reading() as connection:
        assert {*connection.scalars(sa.select(tables.jobs.c.name))} == {"hör zu"}
    database.close()
