"""REST of workers: who is alive, and orders to them."""

from datetime import datetime
from typing import Self

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from scriptfleet.domain.role import Role
from scriptfleet.domain.worker_state import WorkerState
from scriptfleet.queues.client import Broker
from scriptfleet.queues.connection import told_plainly
from scriptfleet.queues.fleet import FleetView, OrderDesk, WorkerInfo
from scriptfleet.queues.orders import Order, Verb
from scriptfleet.results.access.audit import audit
from scriptfleet.results.access.needs import needs
from scriptfleet.results.rest.models import moment
from scriptfleet.results.rest.parts import RestParts
from scriptfleet.results.rest.refusals import WorkerNotFound

_LONGEST_GRACE = 31 * 86_400


class WorkerView(BaseModel):
    """What a worker says of itself."""

    model_config = ConfigDict(from_attributes=True)

    name: str
    host: str
    pid: int
    version: str
    state: WorkerState
    throttled: str = Field(description="Why it takes no new job just now though nobody ordered so.")
    slots: int
    running: int
    jobs: list[str] = Field(description="Jobs that it runs; of many, the first.")
    queues: list[str]
    labels: dict[str, str]
    cpu_percent: float | None = Field(description="Of its whole machine.")
    memory_percent: float | None
    memory_free_mb: float | None
    started_at: datetime | None
    seen_at: datetime | None

    @classmethod
    def of(cls, worker: WorkerInfo) -> Self:
        """Give the view of a worker."""
        same = {name: getattr(worker, name) for name in cls.model_fields if name not in {"started_at", "seen_at"}}
        moments = {"started_at": moment(worker.started_at), "seen_at": moment(worker.seen_at_ms / 1000)}
        return cls.model_validate({**same, **moments, "jobs": list(worker.jobs)})


class WorkerList(BaseModel):
    """The workers that are alive, by name."""

    workers: list[WorkerView]


class Grace(BaseModel):
    """How long a drained worker lets its runs go on."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"grace_seconds": 600}]})

    grace_seconds: float | None = Field(None, ge=0, le=_LONGEST_GRACE, description="Null is the worker's own setting.")


class Ordered(BaseModel):
    """An order that was left for a worker; it hears of it within seconds."""

    worker: str
    order: Verb


def worker_routes(parts: RestParts) -> APIRouter:
    """Give the routes."""
    router = APIRouter(prefix="/api/v1", tags=["workers"], dependencies=[needs(Role.VIEWER)])
    broker = parts.client.broker

    @router.get("/workers", summary="The workers that are alive")
    def list_workers() -> WorkerList:
        return WorkerList(workers=[WorkerView.of(worker) for worker in _alive(broker)])

    @router.get("/workers/{name}", summary="One worker")
    def get_worker(name: str) -> WorkerView:
        return WorkerView.of(worker_named(broker, name))

    _add_orders(router, broker)
    return router


def _add_orders(router: APIRouter, broker: Broker) -> None:
    may_order = [needs(Role.OPERATOR)]

    @router.post("/workers/{name}/cordon", summary="Take no new job", status_code=202, dependencies=may_order)
    def cordon_worker(request: Request, name: str) -> Ordered:
        return _order(request, broker, name, Verb.CORDON)

    @router.post("/workers/{name}/uncordon", summary="Take jobs again", status_code=202, dependencies=may_order)
    def uncordon_worker(request: Request, name: str) -> Ordered:
        return _order(request, broker, name, Verb.UNCORDON)

    @router.post(
        "/workers/{name}/drain", summary="Let its runs finish, then end it", status_code=202, dependencies=may_order
    )
    def drain_worker(request: Request, name: str, grace: Grace | None = None) -> Ordered:
        return _order(request, broker, name, Verb.DRAIN, grace.grace_seconds if grace else None)


def _alive(broker: Broker) -> list[WorkerInfo]:
    with told_plainly(broker.url):
        return FleetView(broker.redis, broker.keys).workers()


def worker_named(broker: Broker, name: str) -> WorkerInfo:
    """Give the worker that is alive under this name; raises WorkerNotFound, BrokerUnreachable."""
    for worker in _alive(broker):
        if worker.name == name:
            return worker
    raise WorkerNotFound(name)


def leave_order(broker: Broker, order: Order) -> None:
    """Leave an order for a worker; raises BrokerUnreachable."""
    with told_plainly(broker.url):
        OrderDesk(broker.redis, broker.keys, broker.settings.signing_key).leave(order)


def _order(request: Request, broker: Broker, name: str, verb: Verb, grace_seconds: float | None = None) -> Ordered:
    worker = worker_named(broker, name)
    leave_order(broker, Order.now(verb, worker.name, grace_seconds))
    audit(request, f"worker.{verb}", worker.name, grace_seconds=grace_seconds)
    return Ordered(worker=worker.name, order=verb)
