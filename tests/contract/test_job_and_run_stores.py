"""Finding jobs and runs; one body for every kind of database."""

import pytest

from scriptfleet.domain.state import State
from scriptfleet.errors import InvalidValue, JobNotFound, RunNotFound
from scriptfleet.storage.engine import Database
from scriptfleet.storage.ingest_store import IngestStore
from scriptfleet.storage.job_store import JobFilter, JobStore
from scriptfleet.storage.paging import PageRequest
from scriptfleet.storage.run_filter import RunFilter
from scriptfleet.storage.run_store import RunStore
from tests import event_factory as make

MINUTE = 60_000
FIRST = make.START_MS / 1000


def fill(database: Database) -> None:
    """Keep ten jobs, a minute apart: the even ones nightly and good, the odd ones hourly and failed; one waits."""
    events = []
    for at in range(10):
        spec = make.shell_spec(
            "nightly.sh" if at % 2 == 0 else "hourly.sh",
            queue="night" if at % 2 == 0 else "default",
            group="ops" if at < 5 else None,
            labels={"team": "x", "half": "first" if at < 5 else "second"},
            schedule="every-hour" if at % 2 else None,
        )
        outcome = State.SUCCEEDED if at % 2 == 0 else State.FAILED
        events += make.whole_job(spec, outcome, at_ms=make.START_MS + at * MINUTE)
    events += [make.submitted("waiting", at_ms=make.START_MS + 10 * MINUTE)]
    events += [make.claimed("early", "f" * 32, at_ms=make.START_MS + 11 * MINUTE)]
    IngestStore(database).apply(events)


@pytest.mark.parametrize(
    ("which", "count"),
    [
        (JobFilter(), 12),
        (JobFilter(state=State.SUCCEEDED), 5),
        (JobFilter(state=State.QUEUED), 1),
        (JobFilter(name="nightly.sh"), 5),
        (JobFilter(name="nightly.sh", state=State.FAILED), 0),
        (JobFilter(kind="shell"), 11),
        (JobFilter(queue="night"), 5),
        (JobFilter(group_name="ops"), 5),
        (JobFilter(schedule="every-hour"), 5),
        (JobFilter(since=FIRST + 60), 11),
        (JobFilter(until=FIRST + 60), 1),
        (JobFilter(since=FIRST + 60, until=FIRST + 180), 2),
        (JobFilter(name="'; DROP TABLE jobs; --"), 0),
    ],
)
def test_jobs_are_found_by_each_filter(database: Database, which: JobFilter, count: int) -> None:
    fill(database)

    assert len(JobStore(database).page(which, PageRequest(500)).items) == count


@pytest.mark.parametrize(
    ("which", "count"),
    [
        (RunFilter(), 11),
        (RunFilter(outcome=State.FAILED), 5),
        (RunFilter(outcome=State.RUNNING), 1),
        (RunFilter(name="hourly.sh"), 5),
        (RunFilter(name="hourly.sh", outcome=State.RUNNING), 0),
        (RunFilter(kind="shell", queue="default"), 5),
        (RunFilter(worker="worker-1@host-1"), 11),
        (RunFilter(job_id="early"), 1),
        (RunFilter(group_name="ops"), 5),
        (RunFilter(label=("team", "x")), 10),
        (RunFilter(label=("half", "first"), name="hourly.sh"), 2),
        (RunFilter(label=("team", "first")), 0),
        (RunFilter(since=FIRST + 600), 1),
    ],
)
def test_runs_are_found_by_each_filter(database: Database, which: RunFilter, count: int) -> None:
    fill(database)

    assert len(RunStore(database).page(which, PageRequest(500)).items) == count


def test_pages_hold_every_job_once_newest_first_also_while_new_ones_come(database: Database) -> None:
    fill(database)
    store, seen, cursor = JobStore(database), [], None

    for turn in range(20):
        page = store.page(JobFilter(), PageRequest(5, cursor))
        seen += [job.job_id for job in page.items]
        IngestStore(database).apply([make.submitted(f"new-{turn}", at_ms=make.START_MS + 99 * MINUTE)])
        cursor = page.next_cursor
        if cursor is None:
            break

    assert (len(seen), len(set(seen))) == (12, 12)
    assert seen[:2] == ["early", "waiting"]


def test_jobs_of_one_moment_are_not_skipped_between_pages(database: Database) -> None:
    IngestStore(database).apply([make.submitted(f"job-{at}") for at in range(7)])
    store = JobStore(database)

    first = store.page(JobFilter(), PageRequest(4))
    second = store.page(JobFilter(), PageRequest(4, first.next_cursor))

    assert [job.job_id for job in first.items + second.items] == [f"job-{at}" for at in range(6, -1, -1)]
    assert second.next_cursor is None


@pytest.mark.parametrize("cursor", ["", "x", "%%%", "W10", "WyJhIiwiYiJd", "e30", "é", "WzFlOTk5LCAiYSJd"])
def test_a_cursor_that_was_never_given_is_refused(database: Database, cursor: str) -> None:
    with pytest.raises(InvalidValue, match="cursor"):
        JobStore(database).page(JobFilter(), PageRequest(5, cursor))


@pytest.mark.parametrize("limit", [0, -1, 501])
def test_a_page_has_from_1_to_500_rows(limit: int) -> None:
    with pytest.raises(InvalidValue, match="limit"):
        PageRequest(limit)


def test_runs_are_counted_by_outcome(database: Database) -> None:
    fill(database)

    assert RunStore(database).counts(RunFilter()) == {"succeeded": 5, "failed": 5, "running": 1}
    assert RunStore(database).counts(RunFilter(name="hourly.sh")) == {"failed": 5}


def test_what_is_not_there_is_named(database: Database) -> None:
    with pytest.raises(JobNotFound, match="nowhere"):
        JobStore(database).get("nowhere")
    with pytest.raises(RunNotFound, match="nowhere"):
        RunStore(database).get("nowhere")


def test_an_id_that_no_column_can_hold_is_refused(database: Database) -> None:
    with pytest.raises(InvalidValue, match="job_id"):
        JobStore(database).get("a\0b")
    with pytest.raises(InvalidValue, match="run_id"):
        RunStore(database).get("\ud800")
    with pytest.raises(InvalidValue, match="name"):
        RunFilter(name="a\0b")
