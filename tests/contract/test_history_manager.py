"""HistoryManager and TimeSeriesDB as programs call them; one body for every kind of database."""

import json
import statistics
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from scriptfleet.domain.state import State
from scriptfleet.errors import InvalidValue, RunNotFound
from scriptfleet.storage import distribution, ranks
from scriptfleet.storage.engine import Database
from scriptfleet.storage.history import HistoryManager
from scriptfleet.storage.ingest_store import IngestStore
from scriptfleet.storage.local_history import LocalHistory
from scriptfleet.storage.metric import Metric
from scriptfleet.storage.run_filter import RunFilter
from scriptfleet.storage.run_store import RunStore
from scriptfleet.storage.tables import runs
from scriptfleet.storage.time_series import TimeSeriesDB
from tests import event_factory as make

DAY = 86_400


@pytest.fixture
def history(database_url: str) -> Iterator[HistoryManager]:
    with HistoryManager(database_url) as opened:
        yield opened


@pytest.fixture
def filled(history: HistoryManager) -> HistoryManager:
    """Keep 25 runs: a.py and b.py in turn, cpu_max 0, 2, … 48."""
    for at in range(25):
        measures = {"execution_time_seconds": float(at), "cpu_max": 2.0 * at, "exit_code": 0}
        history.save_execution({"script_path": "ab"[at % 2] + ".py", **measures})
    return history


def test_history_is_the_last_begun_first_and_bounded(filled: HistoryManager) -> None:
    found = filled.get_execution_history(limit=3)

    assert [(one["execution_time_seconds"], one["script_name"], one["metrics"]["cpu_max"]) for one in found] == [
        (24.0, "a.py", 48.0),
        (23.0, "b.py", 46.0),
        (22.0, "a.py", 44.0),
    ]
    assert datetime.fromisoformat(found[0]["timestamp"]) > datetime.now(UTC) - timedelta(minutes=1)
    assert len(filled.get_execution_history(script_path="a.py")) == 13
    assert len(filled.get_execution_history(script_name="/any/folder/b.py", days=1, limit=5)) == 5


def test_a_metric_of_a_script_is_the_oldest_first(filled: HistoryManager) -> None:
    found = [one["value"] for one in filled.get_metrics_for_script("b.py", "cpu_max")]

    assert found == [2.0 + 4 * at for at in range(12)]


def test_aggregated_metrics_are_what_callers_rely_on(filled: HistoryManager) -> None:
    found = filled.get_aggregated_metrics(metric_name="cpu_max")

    assert found["cpu_max"] == pytest.approx(
        {"count": 25, "min": 0, "max": 48, "avg": 24, "median": 24, "p95": 47.4, "p99": 48, "stddev": 14.7196014}
    )
    assert set(filled.get_aggregated_metrics("a.py")) == {"execution_time_seconds", "cpu_max", "exit_code"}
    assert filled.get_aggregated_metrics("none.py", "cpu_max") == {}


def test_the_totals_are_counted(filled: HistoryManager) -> None:
    assert filled.get_database_stats() == {
        "total_executions": 25,
        "total_metrics": 75,
        "total_alerts": 0,
        "unique_scripts": 2,
        "total_execution_time_seconds": 300.0,
    }


def test_a_saved_run_is_one_like_any_other(history: HistoryManager) -> None:
    began = datetime.now(UTC) - timedelta(hours=1)
    metrics = {
        "start_time": began.isoformat(),
        "exit_code": 7,
        "error_type": "ValueError",
        "rows": 12,
        "custom": {"speed": 1.5},
        "stdout": "hello\n",
        "script_args": ["--fast"],
    }

    run_id = history.save_execution("train.py", metrics)

    run = RunStore(history.database).get(run_id)
    assert (run.name, run.kind, run.outcome, run.began_at) == (
        "train.py",
        "python_script",
        State.FAILED,
        began.timestamp(),
    )
    assert run.usage.custom == {"rows": 12.0, "speed": 1.5}
    assert b"".join(RunStore(history.database).output(run_id, "stdout")) == b"hello\n"
    assert history.get_execution_history("train.py")[0]["metrics"]["script_args"] == ["--fast"]


@pytest.mark.parametrize(
    "metrics",
    [{"cpu_max": "much"}, {"exit_code": 0.5}, {"success": 1}, {"start_time": "soon"}, {"exit_code": True}],
)
def test_a_measure_of_another_type_is_refused_by_name(history: HistoryManager, metrics: dict[str, Any]) -> None:
    with pytest.raises(InvalidValue, match=next(iter(metrics))):
        history.save_execution("a.py", metrics)
    assert history.get_execution_history() == []


def test_a_run_without_a_script_is_refused(history: HistoryManager) -> None:
    with pytest.raises(InvalidValue, match="script_name"):
        history.save_execution({"cpu_max": 1.0})


def test_alerts_are_kept_with_their_run(history: HistoryManager) -> None:
    run_id = history.save_execution("a.py", {"cpu_max": 99.0})

    assert history.save_alerts(run_id, [{"name": "busy", "severity": "WARNING", "value": 99.0}]) == 1
    assert history.save_alerts(run_id, [{"name": "busy"}, {"name": "slow"}]) == 2

    assert history.get_database_stats()["total_alerts"] == 3
    with pytest.raises(RunNotFound):
        history.save_alerts("nobody", [{"name": "busy"}])


def test_a_file_that_run_wrote_is_read(tmp_path: Path) -> None:
    path = tmp_path / "metrics.db"
    LocalHistory(path).add(make.whole_job(at_ms=round(time.time() * 1000)))

    with HistoryManager(path) as history:
        assert history.get_execution_history()[0]["metrics"]["custom.rows"] == 12.0
        history.save_execution("a.py", {"cpu_max": 1.0})
        assert len(history.get_execution_history()) == 2


def values_of(history: HistoryManager, values: list[float], step_seconds: float = 60) -> float:
    """Keep a run of each value, evenly apart, from the returned moment on: a midnight, UTC."""
    first = 1_790_000_000 // DAY * DAY
    for at, value in enumerate(values):
        moment = datetime.fromtimestamp(first + at * step_seconds, UTC)
        history.save_execution("s.py", {"start_time": moment, "cpu_max": value, "custom.own": value * 2})
    return first


def test_aggregates_are_exact(history: HistoryManager) -> None:
    numbers = [float(at * 7919 % 101) for at in range(40)]
    values_of(history, numbers)
    series = TimeSeriesDB(history)

    found = series.aggregations("cpu_max")

    cut = statistics.quantiles(numbers, n=100, method="inclusive")
    middle = statistics.median(numbers)
    assert found == pytest.approx(
        {
            "min": min(numbers),
            "max": max(numbers),
            "avg": statistics.mean(numbers),
            "sum": sum(numbers),
            "count": 40,
            "median": middle,
            "p50": middle,
            "p90": cut[89],
            "p95": cut[94],
            "p99": cut[98],
        }
    )
    assert series.aggregate("custom.own", method="p95")["value"] == pytest.approx(2 * cut[94])
    assert series.aggregate("cpu_max", "none.py")["value"] is None
    assert set(series.aggregations("gpu_util_max").values()) == {None, 0}


@pytest.mark.parametrize("distinct", [1, 3, 100_000])
def test_percentiles_of_many_values_are_found_from_a_sample_exactly(
    database: Database, distinct: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(distribution, "_SORTED_WHOLE", 100)
    monkeypatch.setattr(distribution, "_SAMPLE", 700)
    numbers = [float(at * 7919 % 3001 % distinct) ** 2 for at in range(3000)]
    rows = [{"run_id": f"r{at}", "job_id": "j", "cpu_max": value, "began_at": 1.0} for at, value in enumerate(numbers)]
    with database.writing() as connection:
        connection.execute(sa.insert(runs), rows)

    found = distribution.aggregates(database, Metric("cpu_max", RunFilter()))

    cut = statistics.quantiles(numbers, n=100, method="inclusive")
    assert [found[name] for name in ("p50", "p90", "p95", "p99")] == pytest.approx([cut[at] for at in (49, 89, 94, 98)])
    assert (found["count"], found["max"]) == (3000, max(numbers))
    assert found["avg"] == pytest.approx(statistics.mean(numbers))


def test_a_rank_outside_its_bracket_is_looked_for_in_wider_ones(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("_SORTED_WHOLE", 100), ("_SAMPLE", 20), ("DEVIATIONS", 0.001)):
        monkeypatch.setattr(distribution, name, value)
    monkeypatch.setattr(ranks, "_LEAST_SAMPLE", 10)
    rows = [{"run_id": f"r{at}", "job_id": "j", "cpu_max": float(at), "began_at": 1.0} for at in range(1001)]
    with database.writing() as connection:
        connection.execute(sa.insert(runs), rows)

    found = distribution.aggregates(database, Metric("cpu_max", RunFilter()), ("p50", "p99"))

    assert found == {"p50": 500.0, "p99": 990.0}


@pytest.mark.parametrize(
    ("size", "counts"), [("5min", [5] * 24), ("15min", [15] * 8), ("1hour", [60, 60]), ("1day", [120])]
)
def test_buckets_begin_at_whole_multiples(history: HistoryManager, size: str, counts: list[int]) -> None:
    first = values_of(history, [float(at) for at in range(120)])

    found = TimeSeriesDB(history).bucket("cpu_max", size)

    assert [one["count"] for one in found] == counts
    assert found[0]["timestamp"] == datetime.fromtimestamp(first, UTC).isoformat()
    assert found[0]["avg"] == pytest.approx(statistics.mean(range(counts[0])))
    assert (found[-1]["min"], found[-1]["max"]) == (120 - counts[-1], 119)


def test_a_series_is_cut_by_days_and_by_pages(history: HistoryManager) -> None:
    first = values_of(history, [float(at) for at in range(4)], step_seconds=DAY / 2)
    day = datetime.fromtimestamp(first, UTC).strftime("%Y-%m-%d")
    series = TimeSeriesDB(history)

    assert [one["value"] for one in series.query("cpu_max", start_date=day, end_date=day)] == [0, 1]
    assert [one["value"] for one in series.query("cpu_max", limit=2, offset=1)] == [1, 2]
    assert [one["value"] for one in series.query("cpu_max", "s.py", start_date=first + DAY)] == [2, 3]
    assert len(series.query()) == 8
    assert {one["metric_name"] for one in series.query(offset=3)} == {"cpu_max", "custom.own"}
    assert series.metrics_list() == ["cpu_max", "custom.own"]
    assert series.metrics_list("none.py") == []


@pytest.mark.parametrize("metric", ["", "nonsense", "error_type", "custom.", 'custom.a"b', "cpu_max; DROP TABLE runs"])
def test_what_is_no_metric_is_refused(history: HistoryManager, metric: str) -> None:
    with pytest.raises(InvalidValue, match="metric"):
        TimeSeriesDB(history).aggregations(metric)


@pytest.mark.parametrize("moment", ["yesterday", "2026-13-01", float("nan"), [], "9" * 400])
def test_what_is_no_moment_is_refused(history: HistoryManager, moment: Any) -> None:
    with pytest.raises(InvalidValue, match="start_date"):
        TimeSeriesDB(history).query("cpu_max", start_date=moment)


def test_unknown_methods_and_buckets_are_refused_with_those_there_are(history: HistoryManager) -> None:
    with pytest.raises(InvalidValue, match=r"median, p50, p90"):
        TimeSeriesDB(history).aggregate("cpu_max", method="mode")
    with pytest.raises(InvalidValue, match="5min, 15min, 1hour, 1day"):
        TimeSeriesDB(history).bucket("cpu_max", "1week")


def test_what_a_fleet_stored_is_read_with_what_was_saved(history: HistoryManager) -> None:
    IngestStore(history.database).apply(make.whole_job(at_ms=round(time.time() * 1000) - 60_000))
    history.save_execution("hello.sh", {"cpu_avg": 60.0})

    assert [one["value"] for one in history.get_metrics_for_script("hello.sh", "cpu_avg")] == [80.0, 60.0]
    assert json.dumps(history.get_execution_history())
