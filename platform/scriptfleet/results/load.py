"""The load of queues, for what adds and takes away workers: on /metrics, and as JSON for KEDA and its like."""

import logging
from collections.abc import Iterable, Mapping
from typing import Protocol, Self

from fastapi import APIRouter
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from pydantic import BaseModel, Field

from scriptfleet.domain import check
from scriptfleet.domain.role import Role
from scriptfleet.errors import BrokerUnreachable
from scriptfleet.queues.load import QueueLoad
from scriptfleet.results.access.needs import needs
from scriptfleet.results.rest.models import QueueName

_log = logging.getLogger(__name__)

_GAUGES = {
    "load": "Running and waiting jobs of a queue over the slots that serve it.",
    "slots": "Runs that workers of a queue take at once.",
    "oldest_wait_seconds": "How long the oldest waiting job of a queue has been ready.",
}


class Loads(Protocol):
    """Where loads come from."""

    def all(self) -> Mapping[str, QueueLoad]:
        """Give the load of each queue; raises BrokerUnreachable."""


class LoadView(BaseModel):
    """How busy a queue is."""

    queue: str
    running: int
    queued: int = Field(description="Waiting to be started.")
    delayed: int = Field(description="Not due yet: no reason for more workers.")
    jobs: int = Field(description="Running and queued; of a paused queue, running alone.")
    slots: int = Field(description="Of workers that serve it and take jobs.")
    workers: int
    load: float = Field(description="Jobs over slots; without any slot, the number of jobs.")
    oldest_wait_seconds: float
    is_paused: bool

    @classmethod
    def of(cls, queue: str, found: QueueLoad) -> Self:
        """Give what is shown."""
        return cls(queue=queue, **{name: getattr(found, name) for name in cls.model_fields if name != "queue"})


class LoadList(BaseModel):
    """The load of each queue that was ever used."""

    queues: list[LoadView]


def load_routes(loads: Loads) -> APIRouter:
    """Give the routes under /api/v1/queues."""
    router = APIRouter(prefix="/api/v1", tags=["queues"], dependencies=[needs(Role.VIEWER)])

    @router.get("/load", summary="How busy each queue is")
    def all_loads() -> LoadList:
        return LoadList(queues=[LoadView.of(name, found) for name, found in loads.all().items()])

    @router.get("/queues/{queue}/load", summary="How busy a queue is; nothing of one that was never used")
    def one_load(queue: QueueName) -> LoadView:
        return LoadView.of(queue, loads.all().get(check.queue_name(queue), QueueLoad()))

    return router


class LoadMetrics(Collector):
    """Asks the broker at every scrape; gives nothing while it is away."""

    def __init__(self, loads: Loads) -> None:
        self._loads = loads

    def describe(self) -> Iterable[Metric]:
        """Give no names ahead, so that registering asks the broker nothing."""
        return []

    def collect(self) -> Iterable[Metric]:
        """Give the gauges of this moment."""
        try:
            found = self._loads.all()
        except BrokerUnreachable as fault:
            _log.warning("scrape_without_loads reason=%s", fault)
            return
        for name, what in _GAUGES.items():
            gauge = GaugeMetricFamily(f"scriptfleet_queue_{name}", what, labels=["queue"])
            for queue, load in found.items():
                gauge.add_metric([queue], getattr(load, name))
            yield gauge
