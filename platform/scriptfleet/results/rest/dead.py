"""REST of dead jobs: the list, and the replay of one."""

from datetime import datetime
from typing import Annotated, Self

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from scriptfleet.domain.role import Role
from scriptfleet.domain.state import State
from scriptfleet.errors import JobNotFound
from scriptfleet.queues.dead_jobs import DeadFilter, DeadJob
from scriptfleet.results.access.audit import audit
from scriptfleet.results.access.needs import actor_of, needs
from scriptfleet.results.known_state import not_dead
from scriptfleet.results.rest.models import moment, seconds_of
from scriptfleet.results.rest.parts import RestParts
from scriptfleet.results.rest.standing import ENDED_OR_NOT, Standing, told
from scriptfleet.results.rest.waits import Wait, wait_for


class DeadQuery(BaseModel):
    """Which dead jobs."""

    model_config = ConfigDict(extra="forbid")

    queue: str | None = None
    group: str | None = None
    since: str | None = Field(None, description="Ended at this moment or later: ISO 8601 with offset, or seconds.")
    limit: int = Field(100, ge=1, le=1000)

    def which(self) -> DeadFilter:
        """Give what the list takes; raises InvalidValue."""
        return DeadFilter(queue=self.queue, group=self.group, since=seconds_of("since", self.since))


class DeadView(BaseModel):
    """A job that ended badly and has no attempt left."""

    job_id: str
    name: str
    queue: str
    group: str | None
    outcome: State
    attempts: int
    losses: int
    ended_at: datetime | None
    error_type: str | None
    error: str | None

    @classmethod
    def of(cls, job: DeadJob) -> Self:
        """Give the view of a dead job."""
        return cls.model_validate(job.to_dict() | {"ended_at": moment(job.ended_at)})


class DeadList(BaseModel):
    """Dead jobs, the last ended first, for as long as the broker knows them."""

    jobs: list[DeadView]


class Removed(BaseModel):
    """How many were taken off the list."""

    removed: int


def dead_routes(parts: RestParts) -> APIRouter:
    """Give the routes."""
    router = APIRouter(prefix="/api/v1", tags=["dead"], dependencies=[needs(Role.VIEWER)])
    client, may_order = parts.client, [needs(Role.OPERATOR)]

    @router.get("/dead", summary="Jobs that ended badly and have no attempts left")
    def list_dead(query: Annotated[DeadQuery, Query()]) -> DeadList:
        return DeadList(jobs=[DeadView.of(job) for job in client.dead.newest(query.which(), query.limit)])

    @router.post(
        "/dead/{job_id}/replay",
        summary="Submit it again as a new job, and take it off the list; safe to repeat",
        status_code=202,
        responses=ENDED_OR_NOT,
        dependencies=may_order,
    )
    def replay_dead(request: Request, response: Response, job_id: str, wait: Wait = None) -> Standing:
        try:
            job = client.dead.replay(job_id, actor_of(request).name)
        except JobNotFound as fault:
            raise not_dead(client, parts.jobs, job_id) from fault
        audit(request, "dead.replay", job_id, new_job=job.id)
        wait_for(job, wait, parts.waiters)
        return told(job, response)

    @router.delete("/dead/{job_id}", summary="Take it off the list", dependencies=may_order)
    def remove_dead(request: Request, job_id: str) -> Removed:
        audit(request, "dead.remove", job_id)
        removed = client.dead.remove([job_id])
        if not removed:
            raise not_dead(client, parts.jobs, job_id)
        return Removed(removed=removed)

    return router
