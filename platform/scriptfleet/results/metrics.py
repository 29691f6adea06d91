"""Numbers for Prometheus, in base units. Counters and histograms of runs count since this process started.

A run is counted when its record is stored for the first time, so a repeated batch counts nothing twice. No label
has a job's id, and only so many have a script's name (script_metrics.py): the number of series must not grow with the
number of jobs.
"""

import logging
import threading
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

import redis
from fastapi import APIRouter, Request, Response
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from scriptfleet.domain.role import Role
from scriptfleet.errors import BrokerUnreachable
from scriptfleet.results.access.needs import needs, open_to_all
from scriptfleet.results.run_amounts import Spread, amounts_of
from scriptfleet.results.script_metrics import ScriptMetrics
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


class RunMetrics(Collector):
    """Counts finished runs: all together, and those of the first ``most_scripts`` by script too."""

    def __init__(self, registry: CollectorRegistry, most_scripts: int = 0) -> None:
        self._scripts = ScriptMetrics(most_scripts) if most_scripts else None
        if self._scripts:
            registry.register(self._scripts)
        self._runs: Counter[tuple[str, str]] = Counter()
        self._duration, self._cpu, self._memory = Spread(SECONDS), Spread(SECONDS), Spread(BYTES)
        # Counted by one thread, scraped by others.
        self._lock = threading.Lock()
        registry.register(self)

    def observe(self, finished: FinishedRun) -> None:
        """Count one run; a measure that is unknown or no amount is not observed."""
        run = amounts_of(finished.row)
        with self._lock:
            self._runs[run.outcome, run.kind] += 1
            self._duration.observe(run.duration_seconds)
            self._cpu.observe(run.cpu_seconds)
            self._memory.observe(run.memory_bytes)
        if self._scripts:
            self._scripts.observe(run)

    def collect(self) -> Iterable[Metric]:
        """Give all numbers of this moment."""
        runs = CounterMetricFamily("scriptfleet_runs", "Runs whose record was stored.", labels=["outcome", "kind"])
        with self._lock:
            for labels, count in self._runs.items():
                runs.add_metric(labels, count)
            return [
                runs,
                _histogram("scriptfleet_run_duration_seconds", "Wall time of runs.", self._duration),
                _histogram("scriptfleet_run_cpu_seconds", "CPU time of runs, user and system.", self._cpu),
                _histogram("scriptfleet_run_memory_max_bytes", "Peak memory of runs.", self._memory),
            ]


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


def _histogram(name: str, what: str, spread: Spread) -> Metric:
    return HistogramMetricFamily(name, what, buckets=spread.cumulated(), sum_value=spread.sum)


def _gauge(name: str, what: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, what, value=value)
