"""Writers, makers of segments and readers at once: at each moment segments say what the rows say."""

import random
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from scriptfleet.domain.state import State
from scriptfleet.storage.columns import cover
from scriptfleet.storage.distribution import spread
from scriptfleet.storage.engine import Database
from scriptfleet.storage.metric import Metric
from scriptfleet.storage.paging import PageRequest
from scriptfleet.storage.run_filter import RunFilter, conditions_of
from scriptfleet.storage.run_order import newest_page, outcomes
from scriptfleet.storage.segment_making import make_segments
from scriptfleet.storage.tables import labels, runs
from tests.faults.trial import Size
from tests.segment_parts import NOW, run_row, small_segments

__all__ = ["small_segments"]

_WRITERS = 3
_LATEST = 10_000.0
#: Of a job of the trials: so many transactions of each writer.
_WRITES_A_JOB = 0.5
_WHICH = (
    RunFilter(),
    RunFilter(name="a.py"),
    RunFilter(name="a.py", since=2000.0, until=7000.0),
    RunFilter(name="b.py", outcome=State.FAILED),
    RunFilter(name="a.py", label=("team", "x")),
)


def test_segments_say_what_the_rows_say_while_both_are_written(database: Database, size: Size) -> None:
    writers = [_Writer(database, number, int(_WRITES_A_JOB * size.jobs)) for number in range(_WRITERS)]
    is_over, made, read = threading.Event(), Counter[str](), Counter[str]()
    faults: list[BaseException] = []

    def until_over(act: Callable[[], None]) -> None:
        while not is_over.is_set():
            act()

    def make() -> None:
        made["runs"] += make_segments(database, NOW)

    def look() -> None:
        _assert_same(database, read)

    others = [threading.Thread(target=_noting(faults, until_over), args=(act,)) for act in (make, make, look)]
    threads = [threading.Thread(target=_noting(faults, writer.write)) for writer in writers]
    for thread in (*threads, *others):
        thread.start()
    for thread in threads:
        thread.join(600)
    is_over.set()
    for thread in others:
        thread.join(60)

    assert faults == []
    make()
    look()
    assert made["runs"] > 0
    assert read["by_column"] > 0


def _noting(faults: list[BaseException], act: Callable[..., None]) -> Callable[..., None]:
    def run(*given: Any) -> None:
        try:
            act(*given)
        except BaseException as fault:
            faults.append(fault)

    return run


class _Writer:
    """Writes at random: runs that come late, move or go, and labels of their jobs."""

    def __init__(self, database: Database, number: int, transactions: int) -> None:
        self._database, self._number, self._transactions = database, number, transactions
        self._draw, self._made = random.Random(number), 0

    def write(self) -> None:
        for _ in range(self._transactions):
            with self._database.writing() as connection:
                for _ in range(self._draw.choice((1, 1, 3))):
                    self._draw.choice((self._insert, self._insert, self._update, self._delete, self._label))(connection)

    def _insert(self, connection: sa.Connection) -> None:
        rows = [self._row() for _ in range(self._draw.choice((1, 5, 30)))]
        connection.execute(sa.insert(runs), rows)
        # With the runs, as the ingest writes them.
        told = [{"job_id": job_id, "name": "team", "value": self._draw.choice("xy")} for job_id in self._jobs_of(rows)]
        connection.execute(self._database.insert_into(labels).on_conflict_do_nothing(), told)

    def _jobs_of(self, rows: list[dict[str, Any]]) -> list[str]:
        return sorted({row["job_id"] for row in rows})

    def _row(self) -> dict[str, Any]:
        self._made += 1
        own = {"run_id": f"{self._number}-{self._made}", "job_id": f"job-{self._number}-{self._made}"}
        outcome, cost = self._draw.choice(("succeeded", "failed")), float(self._draw.randint(0, 100))
        row = run_row(0, self._draw.uniform(0, _LATEST), self._draw.choice(("a.py", "b.py")), outcome=outcome)
        return row | own | {"cpu_max": cost}

    def _update(self, connection: sa.Connection) -> None:
        moved = {"cpu_max": float(self._draw.randint(0, 100)), "began_at": self._draw.uniform(0, _LATEST)}
        connection.execute(sa.update(runs).where(runs.c.run_id == self._any("")).values(moved))

    def _delete(self, connection: sa.Connection) -> None:
        connection.execute(sa.delete(runs).where(runs.c.job_id == self._any("job-")))

    def _label(self, connection: sa.Connection) -> None:
        connection.execute(sa.delete(labels).where(labels.c.job_id == self._any("job-")))
        value = self._draw.choice("xy")
        connection.execute(sa.update(labels).where(labels.c.job_id == self._any("job-")).values(value=value))

    def _any(self, prefix: str) -> str:
        return f"{prefix}{self._number}-{self._draw.randint(0, max(1, self._made))}"


def _assert_same(database: Database, read: Counter[str]) -> None:
    for which in _WHICH:
        with database.snapshot() as connection:
            metric = Metric("cpu_max", which)
            summary, _ = spread(connection, metric, lambda count: [0.5 * (count - 1)])
            told = sa.select(sa.func.count(metric.column), sa.func.sum(metric.column)).select_from(runs)
            count, total = connection.execute(told.where(*metric.conditions)).one()
            assert (summary.count, summary.sum or 0) == (count, total or 0), which
            read["by_column" if cover(connection, which) is not None else "by_row"] += 1
            _assert_same_list(connection, which)


def _assert_same_list(connection: sa.Connection, which: RunFilter) -> None:
    chosen, by_outcome = conditions_of(which), outcomes(connection, which)
    page = newest_page(connection, which, PageRequest(30))
    if by_outcome is None or page is None:
        return
    counted = sa.select(runs.c.outcome, sa.func.count()).where(*chosen).group_by(runs.c.outcome)
    assert dict(by_outcome) == dict(map(tuple, connection.execute(counted))), which
    order = (runs.c.began_at.desc(), runs.c.run_id.desc())
    listed = sa.select(runs.c.began_at, runs.c.run_id).where(*chosen).order_by(*order).limit(31)
    assert [tuple(one) for one in page] == [tuple(row) for row in connection.execute(listed)], which
