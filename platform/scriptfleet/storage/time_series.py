"""TimeSeriesDB: the metrics of a history over time, for programs."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

from scriptfleet.domain import check
from scriptfleet.errors import InvalidValue
from scriptfleet.storage import distribution, series
from scriptfleet.storage.history import HistoryManager, history_of
from scriptfleet.storage.metric import Metric
from scriptfleet.storage.moments import Moment, end_of, iso, start_of
from scriptfleet.storage.run_filter import RunFilter

_MOST: int = 2**31


class TimeSeriesDB:
    """Values, aggregates and buckets of metrics.

    Moments may be YYYY-MM-DD (an ``end_date`` counts to the end of its day), ISO 8601, datetimes or seconds since the
    epoch; without an offset they are UTC. Every method raises InvalidValue for a metric, moment or name that cannot
    be, and StoreUnreachable when the database is away.
    """

    def __init__(self, history_manager: HistoryManager) -> None:
        self._history = history_of(history_manager)

    def query(
        self,
        metric_name: str | None = None,
        script_path: str | None = None,
        start_date: Moment = None,
        end_date: Moment = None,
        limit: int = 10_000,
        offset: int = 0,
    ) -> list[dict[str, Any]]:
        """Give values, the oldest first, as dicts with ``timestamp``, ``script_name``, ``metric_name``, ``value``.

        Without a metric it is every metric there is, one after the other.
        """
        check.integer("limit", limit, 0, _MOST)
        check.integer("offset", offset, 0, _MOST)
        which = self._which(script_path, start_date, end_date)
        database = self._history.database
        if metric_name is not None:
            found = series.values(database, Metric(metric_name, which), limit, offset)
            return [_point(metric_name, one) for one in found]
        return list(islice(self._all(which, offset), limit))

    def aggregate(
        self,
        metric_name: str,
        script_path: str | None = None,
        start_date: Moment = None,
        end_date: Moment = None,
        method: str = "avg",
    ) -> dict[str, Any]:
        """Give one aggregate as a dict with ``metric_name``, ``method``, ``value`` and ``count``."""
        if method not in distribution.AGGREGATES:
            raise InvalidValue("method", method, ", ".join(distribution.AGGREGATES))
        metric = Metric(metric_name, self._which(script_path, start_date, end_date))
        found = distribution.aggregates(self._history.database, metric, (method, "count"))
        return {"metric_name": metric_name, "method": method, "value": found[method], "count": found["count"]}

    def aggregations(
        self,
        metric_name: str,
        script_path: str | None = None,
        start_date: Moment = None,
        end_date: Moment = None,
    ) -> dict[str, float | None]:
        """Give min, max, avg, sum, count, median, p50, p90, p95 and p99; None where there is no value.

        Percentiles lie between two values in proportion (see distribution.py).
        """
        metric = Metric(metric_name, self._which(script_path, start_date, end_date))
        return distribution.aggregates(self._history.database, metric)

    def bucket(
        self,
        metric_name: str,
        bucket_size: str = "1hour",
        script_path: str | None = None,
        start_date: Moment = None,
        end_date: Moment = None,
    ) -> list[dict[str, Any]]:
        """Give buckets of 5min, 15min, 1hour or 1day (UTC) that hold a value, the oldest first.

        Each is a dict with ``timestamp`` (its beginning), ``count``, ``avg``, ``min``, ``max`` and ``sum``.
        """
        metric = Metric(metric_name, self._which(script_path, start_date, end_date))
        return [
            {
                "timestamp": iso(one.began_at),
                "count": one.count,
                "avg": one.avg,
                "min": one.min,
                "max": one.max,
                "sum": one.sum,
            }
            for one in series.buckets(self._history.database, metric, bucket_size)
        ]

    def metrics_list(
        self, script_path: str | None = None, start_date: Moment = None, end_date: Moment = None
    ) -> list[str]:
        """Give the names of the metrics that runs have, those that scripts reported as ``custom.NAME``."""
        return list(series.counts(self._history.database, self._which(script_path, start_date, end_date)))

    def _which(self, script: str | None, start: Moment, end: Moment) -> RunFilter:
        since, until = start_of("start_date", start), end_of("end_date", end)
        return RunFilter(name=self._history.name_of(script), since=since, until=until)

    def _all(self, which: RunFilter, offset: int) -> Iterator[dict[str, Any]]:
        for name in series.counts(self._history.database, which):
            metric = Metric(name, which)
            count = distribution.aggregates(self._history.database, metric, ("count",))["count"] if offset else None
            if count is not None and count <= offset:
                offset -= int(count)
            else:
                for one in series.values(self._history.database, metric, None, offset):
                    yield _point(name, one)
                offset = 0


def _point(metric_name: str, one: series.Value) -> dict[str, Any]:
    return {
        "timestamp": iso(one.began_at),
        "run_id": one.run_id,
        "script_name": one.name,
        "script_path": one.name,
        "metric_name": metric_name,
        "value": one.value,
    }
