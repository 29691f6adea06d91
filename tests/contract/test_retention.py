"""Forgetting what is old, and telling how much there is; one body for every kind of database."""

import sqlalchemy as sa

from scriptfleet.domain.ids import new_job_id, new_run_id
from scriptfleet.domain.state import State
from scriptfleet.storage.engine import Database
from scriptfleet.storage.ingest_store import IngestStore
from scriptfleet.storage.retention import Totals, forget, totals
from scriptfleet.storage.tables import metadata
from tests import event_factory as make

DAY_MS = 86_400_000
START = make.START_MS / 1000


def counts(database: Database) -> dict[str, int]:
    with database.reading() as connection:
        return {
            table.name: connection.scalar(sa.select(sa.func.count()).select_from(table)) or 0
            for table in metadata.sorted_tables
        }


def test_jobs_that_ended_before_go_with_all_that_belongs_to_them(database: Database) -> None:
    store = IngestStore(database)
    for day in range(3):
        events = make.whole_job(at_ms=make.START_MS + day * DAY_MS)
        store.apply([*events, make.output(events[0].job_id, events[1].data["run_id"], b"hello\n")])

    gone = forget(database, START + 2 * 86_400)

    assert gone == 2
    left = {name: count for name, count in counts(database).items() if count}
    assert left == {"jobs": 1, "runs": 1, "curves": 1, "outputs": 1, "tails": 1}


def test_a_job_that_has_not_ended_stays_however_old_it_is(database: Database) -> None:
    job_id, run_id = new_job_id(), new_run_id()
    failed = make.finished(make.record(job_id, run_id, State.FAILED), state="delayed")
    IngestStore(database).apply([make.submitted(job_id), make.claimed(job_id, run_id), failed])

    assert forget(database, START + 1000 * 86_400) == 0

    assert counts(database)["runs"] == 1


def test_totals_count_jobs_runs_and_bytes(database: Database) -> None:
    assert totals(database) == Totals(0, 0, 0, None, None)

    events = make.whole_job()
    IngestStore(database).apply([*events, make.output(events[0].job_id, events[1].data["run_id"], b"x" * 5000)])

    found = totals(database)
    assert (found.jobs, found.runs) == (1, 1)
    assert 0 < found.output_bytes < 5000
    assert found.first_began_at == found.last_began_at == START + 1.25
