"""Numbers for Prometheus, in base units. Counters and histograms of runs count since this process started.

A run is counted when its record is stored for the first time, so a repeated batch counts nothing twice. No label
has a job's id, and only so many have a script's name (script_metrics.py): the number of series must not grow with the
number of jobs.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

import redis
from fastapi import APIRouter, Request, Response
from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from scriptfleet.domain.role import Role
from scriptfleet.errors import BrokerUnreachable
from scriptfleet.results.access.needs import needs, open_to_all
from scriptfleet.results.script_metrics import ScriptMetrics, amount
from scriptfleet.storage.ingest_store import FinishedRun

_log = logging.getLogger(__name__)

METRICS = "/metrics"
#: OpenMetrics is given to who asks for it.
_MEDIA_TYPES = ("text/plain", "application/openmetrics-text")
_MIB = 1024 * 1024

SECONDS = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 60, 180, 600, 1800, 3600, 10_800, 36_000, 86_400)
BYTES = tuple(float(_MIB * 2**power) for power in range(2, 18))


class QueueDepth(Protocol):
    """What stands in a queue."""

    @property
    def ready(self) -> int:
        """Waiting, not yet handed to Celery."""

    @property
    def admitted(self) -> int:
        """Handed to Celery, not yet claimed."""

    @property
    def running(self) -> int:
        """Claimed by a worker."""

    @property
    def delayed(self) -> int:
        """Not due yet."""


class Worker(Protocol):
    """A worker that gave a sign of life."""

    @property
    def slots(self) -> int:
        """How many runs it takes at once."""


class Fleet(Protocol):
    """What the broker knows of the fleet."""

    def queues(self) -> Mapping[str, QueueDepth]:
        """Give the depth of each queue."""

    def workers(self) -> Sequence[Worker]:
        """Give the workers that are alive."""


class Backlog(Protocol):
    """How far the store is behind."""

    def backlog(self) -> int:
        """Give how many events are not stored yet."""

    def buried(self) -> int:
        """Give how many events were set aside."""

    def lag_seconds(self) -> float:
        """Give how old the oldest event under way is."""


class RunMetrics:
    """Counts finished runs: all together, and those of the first ``most_scripts`` by script too."""

    def __init__(self, registry: CollectorRegistry, most_scripts: int = 0) -> None:
        self._scripts = ScriptMetrics(most_scripts) if most_scripts else None
        if self._scripts:
            registry.register(self._scripts)
        self._runs = Counter(
            "scriptfleet_runs_total", "Runs whose record was stored.", ["outcome", "kind"], registry=registry
        )
        self._duration = Histogram(
            "scriptfleet_run_duration_seconds", "Wall time of runs.", registry=registry, buckets=SECONDS
        )
        self._cpu = Histogram(
            "scriptfleet_run_cpu_seconds", "CPU time of runs, user and system.", registry=registry, buckets=SECONDS
        )
        self._memory = Histogram(
            "scriptfleet_run_memory_max_bytes", "Peak memory of runs.", registry=registry, buckets=BYTES
        )

    def observe(self, finished: FinishedRun) -> None:
        """Count one run; a measure that is unknown or no amount is not observed."""
        row = finished.row
        self._runs.labels(outcome=str(row["outcome"]), kind=finished.kind or "unknown").inc()
        _observe(self._duration, row.get("execution_time_seconds"))
        _observe(self._cpu, row.get("user_time_seconds"), row.get("system_time_seconds"))
        _observe(self._memory, row.get("memory_max_mb"), unit=_MIB)
        if self._scripts:
            self._scripts.observe(row)


class FleetMetrics(Collector):
    """Asks the broker at every scrape; while it is away, only says so."""

    def __init__(self, fleet: Fleet, backlog: Backlog) -> None:
        self._fleet, self._backlog = fleet, backlog

    def describe(self) -> Iterable[Metric]:
        """Give no names ahead, so that registering asks the broker nothing."""
        return []

    def collect(self) -> Iterable[Metric]:
        """Give the gauges of this moment."""
        lag = self._backlog.lag_seconds()
        yield _gauge("scriptfleet_ingest_lag_seconds", "Age of the oldest event on its way to the store.", lag)
        try:
            found = [*self._of_broker()]
        except (redis.RedisError, BrokerUnreachable) as fault:
            _log.warning("scrape_without_broker reason=%s", fault)
            found = []
        yield from found
        yield _gauge("scriptfleet_broker_up", "1 when the broker answered this scrape.", 1 if found else 0)

    def _of_broker(self) -> Iterable[Metric]:
        workers = self._fleet.workers()
        yield _gauge("scriptfleet_workers", "Workers that are alive.", len(workers))
        yield _gauge("scriptfleet_worker_slots", "Runs that they take at once.", sum(one.slots for one in workers))
        yield _gauge("scriptfleet_event_backlog", "Events not stored yet.", self._backlog.backlog())
        yield _gauge("scriptfleet_events_dead", "Events set aside, which no store could take.", self._backlog.buried())
        depths = GaugeMetricFamily("scriptfleet_queue_depth", "Jobs by queue and state.", labels=["queue", "state"])
        for name, depth in self._fleet.queues().items():
            for state in ("ready", "admitted", "running", "delayed"):
                depths.add_metric([name, state], getattr(depth, state))
        yield depths


def metrics_routes(registry: CollectorRegistry, *, is_open: bool = False) -> APIRouter:
    """Give the route that Prometheus scrapes."""
    router = APIRouter(dependencies=[open_to_all if is_open else needs(Role.VIEWER)])

    @router.get(
        METRICS,
        tags=["health"],
        response_class=Response,
        summary="Numbers for Prometheus",
        responses={200: {"content": {kind: {"schema": {"type": "string"}} for kind in _MEDIA_TYPES}}},
    )
    def metrics(request: Request) -> Response:
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(registry), headers={"Content-Type": content_type})

    return router


def new_registry() -> CollectorRegistry:
    """Make a registry that also tells of this process itself."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    return registry


def _observe(histogram: Histogram, *parts: object, unit: int = 1) -> None:
    value = amount(*parts, unit=unit)
    if value is not None:
        histogram.observe(value)


def _gauge(name: str, what: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, what, value=value)
