"""REST of queues: how busy each is, and orders to pause, resume and purge."""

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from scriptfleet.domain.role import Role
from scriptfleet.queues.queue_control import QueueControl
from scriptfleet.results.access.audit import audit
from scriptfleet.results.access.needs import needs
from scriptfleet.results.load import LoadList, LoadView
from scriptfleet.results.rest.models import QueueName
from scriptfleet.results.rest.parts import RestParts

_MOST_PURGED = 1_000_000


class QueueStanding(BaseModel):
    """Whether a queue lets jobs start."""

    queue: str
    is_paused: bool
    has_changed: bool = Field(description="Whether it was otherwise before.")


class Purge(BaseModel):
    """How much a purge may cancel."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"most": 500}]})

    most: int = Field(10_000, ge=1, le=_MOST_PURGED)


class Purged(BaseModel):
    """How many waiting jobs were cancelled."""

    queue: str
    cancelled: int


def queue_routes(parts: RestParts) -> APIRouter:
    """Give the routes."""
    router = APIRouter(prefix="/api/v1", tags=["queues"], dependencies=[needs(Role.VIEWER)])
    broker, may_order = parts.client.broker, [needs(Role.OPERATOR)]

    @router.get("/queues", summary="Every queue that was ever used, and how busy it is")
    def list_queues() -> LoadList:
        return LoadList(queues=[LoadView.of(name, found) for name, found in parts.loads.all().items()])

    @router.post("/queues/{queue}/pause", summary="Let no more jobs start", dependencies=may_order)
    def pause_queue(request: Request, queue: QueueName) -> QueueStanding:
        audit(request, "queue.pause", queue)
        has_changed = QueueControl(broker, queue).pause()
        return QueueStanding(queue=queue, is_paused=True, has_changed=has_changed)

    @router.post("/queues/{queue}/resume", summary="Let jobs start again", dependencies=may_order)
    def resume_queue(request: Request, queue: QueueName) -> QueueStanding:
        audit(request, "queue.resume", queue)
        has_changed = QueueControl(broker, queue).resume()
        return QueueStanding(queue=queue, is_paused=False, has_changed=has_changed)

    @router.post("/queues/{queue}/purge", summary="Cancel the jobs that wait", dependencies=may_order)
    def purge_queue(request: Request, queue: QueueName, purge: Purge | None = None) -> Purged:
        most = (purge or Purge(most=10_000)).most
        cancelled = QueueControl(broker, queue).purge(most)
        audit(request, "queue.purge", queue, cancelled=cancelled)
        return Purged(queue=queue, cancelled=cancelled)

    return router
