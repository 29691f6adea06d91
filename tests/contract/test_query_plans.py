"""Queries over history use the index that was made for them; with few rows, so that no plan is a matter of luck."""

import re
import time
from collections.abc import Callable

import pytest
import sqlalchemy as sa

from benchmarks.history_seed import SHARD, seed
from scriptfleet.domain.state import State
from scriptfleet.storage import distribution, run_list, segment_plan, series
from scriptfleet.storage.activity import activity
from scriptfleet.storage.bands import bands, week
from scriptfleet.storage.engine import Database
from scriptfleet.storage.metric import Metric
from scriptfleet.storage.migrate import upgrade_open
from scriptfleet.storage.paging import PageRequest
from scriptfleet.storage.run_filter import RunFilter
from scriptfleet.storage.run_list import RunList, Wish
from scriptfleet.storage.run_store import RunStore
from scriptfleet.storage.segment_making import make_segments
from scriptfleet.storage.sorted_runs import SortBy

SCRIPT = "script_000.py"
ONE = Metric("cpu_max", RunFilter(name=SCRIPT, since=1.0))
ALL = Metric("cpu_max", RunFilter())


@pytest.fixture
def seeded(database: Database) -> Database:
    upgrade_open(database)
    seed(database, 2_000)
    return database


def page(which: RunFilter) -> Callable[[Database], object]:
    def ask(database: Database) -> object:
        first = RunStore(database).page(which, PageRequest(5))
        return RunStore(database).page(which, PageRequest(5, first.next_cursor))

    return ask


@pytest.mark.parametrize(
    ("ask", "index"),
    [
        (lambda database: list(series.values(database, ONE)), "ix_runs_name"),
        (lambda database: series.buckets(database, ONE, "1day"), "ix_runs_name"),
        (lambda database: distribution.aggregates(database, ONE), "ix_runs_name"),
        (lambda database: series.counts(database, RunFilter(name=SCRIPT)), "ix_runs_name"),
        (lambda database: bands(database, ONE, 3600), "ix_runs_name"),
        (lambda database: week(database, ONE), "ix_runs_name"),
        (lambda database: RunStore(database).counts(RunFilter(name=SCRIPT)), "ix_runs_name"),
        (lambda database: RunStore(database).counts(RunFilter(since=1.0)), "ix_runs_outcome"),
        # By moment or by outcome, whichever has fewer.
        (lambda database: activity(database, 0.0, 60.0, 1.0), "ix_runs_"),
        (page(RunFilter()), "ix_runs_began_at"),
        (page(RunFilter(name=SCRIPT)), "ix_runs_name"),
        (page(RunFilter(name=SCRIPT, outcome=State.SUCCEEDED)), "ix_runs_name"),
        (page(RunFilter(outcome=State.FAILED)), "ix_runs_outcome"),
        (page(RunFilter(worker="worker-0@host-0")), "ix_runs_worker"),
        (page(RunFilter(group_name="group-1")), "ix_runs_group_name"),
        (lambda database: RunStore(database).page(RunFilter(job_id="x"), PageRequest(5)), "ix_runs_job_id"),
    ],
)
def test_a_query_uses_its_index(seeded: Database, ask: Callable[[Database], object], index: str) -> None:
    for statement, plan in plans_of(seeded, ask):
        assert index in plan, (statement, plan)


def test_percentiles_over_all_runs_read_the_index_alone_on_sqlite(
    seeded: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not seeded.is_sqlite:
        pytest.skip("PostgreSQL decides by its statistics, and has workers for it")
    monkeypatch.setattr(distribution, "_SORTED_WHOLE", 100)
    counted, _, sampled, read = plans_of(seeded, lambda database: distribution.aggregates(database, ALL))

    assert "COVERING INDEX" in counted[1]
    assert "INTEGER PRIMARY KEY (rowid=?)" in sampled[1]
    assert "COVERING INDEX ix_runs_name" in read[1]


def test_a_label_is_found_by_its_index(seeded: Database) -> None:
    which = RunFilter(label=("team", "team-1"))
    for statement, plan in plans_of(seeded, lambda database: RunStore(database).page(which, PageRequest(5))):
        assert "ix_labels_name" in plan or "pk_labels" in plan, (statement, plan)


_RUNS_OR_SEGMENTS = r"(?s)SELECT .*\b(FROM|JOIN) (runs|segment)"
_OF_RUNS = r"ix_runs_(name|began_at|worker)|(pk|autoindex)_runs"
_OF_SEGMENTS = r"(ix|pk|sqlite_autoindex)_segment"
SEGMENTED = [
    lambda database: distribution.aggregates(database, ONE),
    lambda database: distribution.aggregates(database, ALL),
    lambda database: distribution.aggregates(database, Metric("custom.rows", RunFilter())),
    lambda database: series.buckets(database, ALL, "1day"),
    lambda database: bands(database, ONE, 3600),
    lambda database: series.counts(database, RunFilter(name=SCRIPT)),
    lambda database: series.counts(database, RunFilter(name=SCRIPT, worker="worker-0@host-0")),
    lambda database: distribution.aggregates(database, Metric("cpu_max", RunFilter(name=SCRIPT, label=SHARD))),
    lambda database: list(series.values(database, ONE, 10, 20)),
    lambda database: RunStore(database).counts(RunFilter(name=SCRIPT, label=SHARD)),
    lambda database: RunStore(database).page(RunFilter(name=SCRIPT, label=("team", "team-0")), PageRequest(5)),
    lambda database: RunList(database).page(Wish(RunFilter(name=SCRIPT), by=SortBy.WALL), PageRequest(5)),
]


def test_segments_and_what_they_leave_are_read_by_indexes(seeded: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segment_plan, "LEAST_RUNS", 10)
    make_segments(seeded, time.time())
    for ask in SEGMENTED:
        plans = plans_of(seeded, ask, _RUNS_OR_SEGMENTS)
        assert any("segment_columns" in statement for statement, _ in plans)
        for statement, plan in plans:
            # PostgreSQL takes that of the moment, or of the worker, where it has fewer, as before the first run of all.
            known = (
                r"ix_runs_(name|began_at|worker)|(pk|autoindex)_runs"
                if "runs." in statement
                else r"(ix|pk|sqlite_autoindex)_segment"
            )
            assert re.search(known, plan), (statement, plan)
            assert not re.search(r"SCAN (runs|segment\w+)\b(?! USING)|Seq Scan on (runs|segment)", plan), (
                statement,
                plan,
            )


def _made(database: Database) -> object:
    return make_segments(database, time.time())


def test_making_segments_reads_runs_by_their_index(seeded: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segment_plan, "LEAST_RUNS", 10)
    for statement, plan in plans_of(seeded, _made, _RUNS_OR_SEGMENTS):
        if "runs." in statement:
            assert "ix_runs_" in plan, (statement, plan)


def listed(wish: Wish) -> Callable[[Database], object]:
    def ask(database: Database) -> object:
        first = RunList(database).page(wish, PageRequest(5))
        RunList(database).counts(wish)
        return RunList(database).page(wish, PageRequest(5, first.page.next_cursor))

    return ask


LISTS = [
    (Wish(is_ascending=True), "ix_runs_began_at"),
    (Wish(by=SortBy.WALL), "ix_runs_began_at"),
    (Wish(RunFilter(queue="default"), by=SortBy.MEMORY), "ix_runs_began_at"),
    (Wish(RunFilter(label=("team", "team-1"), worker="worker-0@host-0"), by=SortBy.CPU), "ix_runs_worker"),
    (Wish(RunFilter(group_name="group-1", queue="default")), "ix_runs_group_name"),
    # By the ids of its few jobs; PostgreSQL by the moment where, as here, it has many of the runs.
    (Wish(RunFilter(label=("team", "team-1"))), "ix_runs_"),
    (Wish(search="SCRIPT_00"), "ix_runs_name"),
    (Wish(RunFilter(outcome=State.SUCCEEDED), search="script_00", by=SortBy.WALL), "ix_runs_name"),
]


def test_a_list_reads_runs_by_the_index_of_what_is_asked_for(seeded: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    # Of so few runs a bound as it is would be none.
    monkeypatch.setattr(run_list, "MOST_SORTED", 20)
    for wish, index in LISTS:
        plans = plans_of(seeded, listed(wish))
        assert any(index in plan for _, plan in plans), (wish, plans)
        for statement, plan in plans:
            assert not re.search(r"SCAN runs(?! USING)|Seq Scan on runs", plan), (statement, plan)


def plans_of(database: Database, ask: Callable[[Database], object], reads: str = r"FROM runs") -> list[tuple[str, str]]:
    """Ask, and give each statement that read such tables with its plan."""
    seen: list[tuple[str, object]] = []

    def note(_c: object, _cursor: object, statement: str, parameters: object, _x: object, _many: object) -> None:
        seen.append((statement, parameters))

    sa.event.listen(database.engine, "before_cursor_execute", note)
    try:
        ask(database)
    finally:
        sa.event.remove(database.engine, "before_cursor_execute", note)
    assert seen
    return [(statement, _plan(database, statement, given)) for statement, given in seen if re.search(reads, statement)]


def _plan(database: Database, statement: str, given: object) -> str:
    with database.reading() as connection:
        if not database.is_sqlite:
            # So few rows are read faster without any index.
            connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        how = "EXPLAIN QUERY PLAN " if database.is_sqlite else "EXPLAIN "
        rows = connection.exec_driver_sql(how + statement, given)  # type: ignore[arg-type]
        return "\n".join(str(row[-1]) for row in rows)
