"""The history of runs for programs: save a run, read runs and their metrics back. One database for all readers."""

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import sqlalchemy as sa

from scriptfleet.domain import check
from scriptfleet.errors import InvalidValue
from scriptfleet.storage import distribution, series
from scriptfleet.storage.engine import Database, open_store
from scriptfleet.storage.ingest_store import IngestStore
from scriptfleet.storage.metric import Metric
from scriptfleet.storage.migrate import current_of, require_current, upgrade_open
from scriptfleet.storage.moments import iso
from scriptfleet.storage.paging import MOST_ROWS, PageRequest
from scriptfleet.storage.run_alerts import save_alerts
from scriptfleet.storage.run_filter import RunFilter
from scriptfleet.storage.run_store import RunRow, RunStore
from scriptfleet.storage.saved_run import saved_facts
from scriptfleet.storage.tables import run_alerts, runs

DEFAULT_PATH: Final = "script_runner_history.db"
_DAY_SECONDS: Final = 86_400


class HistoryManager:
    """A history: a SQLite file, made when it is missing, or any database by its SQLAlchemy address.

    It is the store itself: what `scriptfleet run` and a fleet keep there is read here, and what is saved here is read
    by them. Threads may share one. Every method raises StoreUnreachable when the database is away.
    """

    def __init__(self, db_path: str | Path = DEFAULT_PATH) -> None:
        """Open it. Raises InvalidValue for an address that cannot be, StoreUnreachable for one that is away."""
        said = str(db_path)
        is_file = "://" not in said
        self.database: Database = open_store(f"sqlite:///{Path(said).absolute()}" if is_file else said)
        # A file of one's own is brought up to date in passing; a shared database is its owner's to upgrade.
        if self.database.is_sqlite or current_of(self.database) is None:
            upgrade_open(self.database)
        require_current(self.database)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self.database.close()

    def save_execution(self, script_name: str | Mapping[str, Any], metrics: Mapping[str, Any] | None = None) -> str:
        """Save a run that has ended and give its id: ``save_execution(metrics)`` or ``save_execution(name, metrics)``.

        Measures go under their names (docs/measurement.md); other numbers become ``custom.NAME``; what is no number
        is kept beside them. Without a start_time the run began now. Raises InvalidValue for a measure of another
        type, or where no script is named.
        """
        if isinstance(script_name, Mapping):
            given = dict(script_name)
        else:
            given = {"script_name": script_name, **(metrics or {})}
        run_id, facts = saved_facts(given, time.time())
        IngestStore(self.database).apply(facts)
        return run_id

    def save_alerts(self, execution_id: str, alerts: Sequence[Mapping[str, Any]]) -> int:
        """Save alerts that a run raised, each a dict with ``name`` and ``severity`` if known; give how many.

        Raises RunNotFound.
        """
        return save_alerts(self.database, execution_id, alerts, time.time())

    def get_execution_history(
        self,
        script_path: str | None = None,
        limit: int = 100,
        days: float | None = 30,
        *,
        script_name: str | None = None,
    ) -> list[dict[str, Any]]:
        """Give runs, the last begun first, as dicts with ``timestamp`` (ISO 8601), ``script_name`` and ``metrics``.

        The metrics that are known stand beside these too. ``days`` None is all there is.
        """
        which = RunFilter(name=self.name_of(script_name or script_path), since=_since(days))
        return [record(run) for run in self._newest(which, check.integer("limit", limit, 1, 10_000_000))]

    def get_metrics_for_script(
        self, script_path: str, metric_name: str, days: float | None = 30
    ) -> list[dict[str, Any]]:
        """Give a metric of a script over time, the oldest first: dicts with ``timestamp`` and ``value``."""
        metric = Metric(metric_name, RunFilter(name=self.name_of(script_path), since=_since(days)))
        return [{"timestamp": iso(one.began_at), "value": one.value} for one in series.values(self.database, metric)]

    def get_aggregated_metrics(
        self, script_path: str | None = None, metric_name: str | None = None, days: float | None = 30
    ) -> dict[str, dict[str, float | None]]:
        """Give count, min, max, avg, median, p95, p99 and stddev (of a sample) of one metric, or of each there is.

        Percentiles here lie at rank (n + 1) * share, at most the largest value (R's type 6), as they always have
        in this method; TimeSeriesDB and all else use type 7.
        """
        which = RunFilter(name=self.name_of(script_path), since=_since(days))
        names = [metric_name] if metric_name is not None else list(series.counts(self.database, which))
        found = {name: self._aggregated(Metric(name, which)) for name in names}
        return {name: values for name, values in found.items() if values["count"]}

    def get_database_stats(self) -> dict[str, Any]:
        """Give how much there is: executions, values of metrics, alerts, scripts, and seconds that were run."""
        func = sa.func
        with self.database.reading() as connection:
            total, scripts, seconds = connection.execute(
                sa.select(
                    func.count(), func.count(runs.c.name.distinct()), func.sum(runs.c.execution_time_seconds)
                ).select_from(runs)
            ).one()
            alerts = connection.scalar(sa.select(func.count()).select_from(run_alerts))
        return {
            "total_executions": int(total),
            "total_metrics": sum(series.counts(self.database, RunFilter()).values()),
            "total_alerts": int(alerts or 0),
            "unique_scripts": int(scripts),
            "total_execution_time_seconds": float(seconds or 0),
        }

    def name_of(self, script: str | Path | None) -> str | None:
        """Give the name that a script's runs have here: as it is said, or only its file name where that is known."""
        if script is None or "/" not in str(script):
            return None if script is None else check.text("script", str(script), 255)
        said = check.text("script", str(script))
        with self.database.reading() as connection:
            is_known = connection.scalar(sa.select(runs.c.run_id).where(runs.c.name == said).limit(1))
        return said if is_known else Path(said).name

    def _newest(self, which: RunFilter, limit: int) -> Iterator[RunRow]:
        cursor, left = None, limit
        while left > 0:
            page = RunStore(self.database).page(which, PageRequest(min(left, MOST_ROWS), cursor))
            yield from page.items
            cursor, left = page.next_cursor, left - len(page.items)
            if cursor is None:
                return

    def _aggregated(self, metric: Metric) -> dict[str, float | None]:
        with self.database.snapshot() as connection:
            found, values = distribution.spread(connection, metric, _places)
            spread = distribution.deviation(connection, metric, found)
        n = found.count
        median, p95, p99 = values or (None, None, None)
        return {
            "count": n,
            "min": found.min,
            "max": found.max,
            "avg": found.avg,
            "median": median,
            "p95": p95,
            "p99": p99,
            "stddev": spread if spread is not None or not n else 0.0,
        }


def record(run: RunRow) -> dict[str, Any]:
    """Give a run as a plain dict: what it is, its metrics once more under ``metrics``; unknown ones are left out."""
    metrics: dict[str, Any] = {name: value for name, value in run.usage.to_dict().items() if value is not None}
    if isinstance(run.output_data, dict) and isinstance(saved := run.output_data.get("metrics"), dict):
        metrics |= saved
    own = {
        "id": run.run_id,
        "run_id": run.run_id,
        "job_id": run.job_id,
        "timestamp": iso(run.began_at),
        "script_name": run.name,
        "script_path": run.name,
        "outcome": None if run.outcome is None else str(run.outcome),
    }
    return {**metrics, **own, "metrics": metrics}


def history_of(given: object) -> HistoryManager:
    """Give back a HistoryManager; raises InvalidValue for anything else."""
    if not isinstance(given, HistoryManager):
        raise InvalidValue("history_manager", given, "a HistoryManager")
    return given


def _since(days: float | None) -> float | None:
    return None if days is None else max(0.0, time.time() - check.number("days", days) * _DAY_SECONDS)


def _places(count: int) -> list[float]:
    return [min(max((count + 1) * share - 1, 0.0), count - 1.0) for share in (0.5, 0.95, 0.99)]
