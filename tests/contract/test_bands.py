"""Bands of a metric over time and over the week, on every database."""

import statistics
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa

from scriptfleet.storage.bands import Band, bands, first_moment, week
from scriptfleet.storage.engine import Database
from scriptfleet.storage.metric import Metric
from scriptfleet.storage.run_filter import RunFilter
from scriptfleet.storage.tables import runs

#: A Monday, midnight in UTC.
MONDAY = datetime(2026, 9, 21, tzinfo=UTC).timestamp()
WALL = Metric("execution_time_seconds", RunFilter(name="s.py", since=1.0))


def store(database: Database, *runs_of: tuple[float, float | None]) -> None:
    rows = [
        {"run_id": f"r{at}", "job_id": "j", "name": "s.py", "began_at": began, "execution_time_seconds": wall}
        for at, (began, wall) in enumerate(runs_of)
    ]
    with database.writing() as connection:
        connection.execute(sa.insert(runs), rows)


def test_each_piece_of_time_has_its_own_percentiles(database: Database) -> None:
    early = [float(at) ** 2 for at in range(40)]
    store(database, *((MONDAY + at, value) for at, value in enumerate(early)), (MONDAY + 7200.0, 5.0))

    found = bands(database, WALL, 3600)

    assert list(found) == [MONDAY, MONDAY + 7200]
    cut = statistics.quantiles(early, n=20, method="inclusive")
    assert found[MONDAY].runs == 40
    assert (found[MONDAY].p50, found[MONDAY].p95) == pytest.approx((cut[9], cut[18]))
    assert found[MONDAY + 7200] == Band(1, 5.0, 5.0)
    assert first_moment(database, WALL.which) == MONDAY


def test_runs_without_the_metric_count_and_tell_nothing(database: Database) -> None:
    store(database, (MONDAY, None), (MONDAY + 1, None), (MONDAY + 100.0, 3.0))

    assert bands(database, WALL, 60) == {MONDAY: Band(2, None, None), MONDAY + 60: Band(1, 3.0, 3.0)}


def test_hours_of_the_week_are_counted_from_monday(database: Database) -> None:
    sunday_before = MONDAY - 1
    store(database, (MONDAY + 60, 1.0), (MONDAY + 7 * 86_400, 3.0), (sunday_before, None), (MONDAY + 27 * 3600.0, 2.0))

    assert week(database, WALL) == {0: Band(2, 2.0, 2.9), 167: Band(1, None, None), 27: Band(1, 2.0, 2.0)}


def test_nothing_has_no_bands(database: Database) -> None:
    assert bands(database, WALL, 60) == {}
    assert week(database, WALL) == {}
    assert first_moment(database, WALL.which) is None
