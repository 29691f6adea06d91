"""REST that changes jobs: submit, cancel, retry, rerun; thin over the Client."""

from typing import Annotated, Any

from fastapi import APIRouter, Header, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from scriptfleet.domain.role import Role
from scriptfleet.queues.job_handle import Job
from scriptfleet.results.access.audit import audit
from scriptfleet.results.access.needs import actor_of, needs
from scriptfleet.results.known_state import unknown_to_broker
from scriptfleet.results.rerun import submit_again
from scriptfleet.results.rest.new_jobs import Changes, NewJob, read_changes
from scriptfleet.results.rest.parts import RestParts
from scriptfleet.results.rest.standing import ENDED_OR_NOT, Standing, told
from scriptfleet.results.rest.waits import Wait, wait_for

MOST_JOBS = 1000
#: Of many ids the audit log has so many.
_IDS_NOTED = 20

Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        description="The same key with the same job makes no second one; with another job it is refused with 409.",
        examples=["nightly-2026-03-01"],
    ),
]


class NewJobs(BaseModel):
    """Jobs to submit at once."""

    model_config = ConfigDict(extra="forbid")

    jobs: list[NewJob] = Field(min_length=1, max_length=MOST_JOBS)


class Submitted(BaseModel):
    """The jobs that were submitted, in their order."""

    job_ids: list[str]


class ToCancel(BaseModel):
    """Which jobs: their ids, or a group, labels or both, perhaps of one queue alone."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"group": "nightly"}, {"labels": {"team": "ops"}}]}
    )

    job_ids: list[str] = Field(default_factory=list, max_length=10_000)
    group: str | None = None
    labels: dict[str, str] | None = None
    queue: str | None = None


class Cancelled(BaseModel):
    """What the jobs were when they were cancelled; what had ended stays as it is."""

    found: dict[str, int] = Field(
        description="How many were found in which state; `gone` are ids that the broker does not know.",
        examples=[{"queued": 12, "running": 2}],
    )


def job_writing_routes(parts: RestParts) -> APIRouter:
    """Give the routes."""
    router = APIRouter(prefix="/api/v1", tags=["jobs"], dependencies=[needs(Role.OPERATOR)])
    _add_submits(router, parts)
    _add_cancels(router, parts)
    _add_reruns(router, parts)
    return router


def _add_submits(router: APIRouter, parts: RestParts) -> None:
    client, limit = parts.client, parts.client.broker.settings.blob_max_bytes

    @router.post("/jobs", summary="Submit a job", status_code=202, responses=ENDED_OR_NOT)
    def submit_job(
        request: Request, response: Response, job: NewJob, wait: Wait = None, idempotency_key: Key = None
    ) -> Standing:
        draft = job.draft(limit, actor_of(request).name, idempotency_key)
        submitted = client.submit_draft(draft)
        audit(request, "job.submit", submitted.id, name=draft.spec.name, queue=draft.spec.queue)
        wait_for(submitted, wait, parts.waiters)
        return told(submitted, response)

    @router.post("/jobs/batch", summary="Submit many jobs", status_code=202)
    def submit_jobs(request: Request, batch: NewJobs, idempotency_key: Key = None) -> Submitted:
        keys = [None if idempotency_key is None else f"{idempotency_key}:{at}" for at in range(len(batch.jobs))]
        by = actor_of(request).name
        made = [job.draft(limit, by, key) for job, key in zip(batch.jobs, keys, strict=True)]
        ids = [job.id for job in client.submit_many(made)]
        audit(request, "job.submit", ids[0], jobs=len(ids), last=ids[-1])
        return Submitted(job_ids=ids)


def _add_cancels(router: APIRouter, parts: RestParts) -> None:
    client = parts.client

    @router.post("/jobs/cancel", summary="Cancel jobs by ids, group or labels")
    def cancel_jobs(request: Request, which: ToCancel) -> Cancelled:
        labels: dict[str, Any] = which.labels or {}
        found = client.cancel(which.job_ids, group=which.group, labels=labels, queue=which.queue)
        named: dict[str, Any] = {
            "group": which.group,
            "labels": labels,
            "queue": which.queue,
            "job_ids": which.job_ids[:_IDS_NOTED],
        }
        audit(request, "job.cancel", "many", **{name: said for name, said in named.items() if said}, found=found)
        return Cancelled(found=found)

    @router.post("/jobs/{job_id}/cancel", summary="Cancel a job", status_code=202, responses=ENDED_OR_NOT)
    def cancel_job(request: Request, response: Response, job_id: str, wait: Wait = None) -> Standing:
        job = client.job(job_id)
        audit(request, "job.cancel", job_id)
        if client.cancel([job_id]).get("gone"):
            raise unknown_to_broker(parts.jobs, job_id)
        wait_for(job, wait, parts.waiters)
        return told(job, response)


def _add_reruns(router: APIRouter, parts: RestParts) -> None:
    @router.post("/jobs/{job_id}/retry", summary="Submit it again, the same", status_code=202, responses=ENDED_OR_NOT)
    def retry_job(
        request: Request, response: Response, job_id: str, wait: Wait = None, idempotency_key: Key = None
    ) -> Standing:
        return told(_again(parts, request, job_id, Changes.model_validate({}), wait, idempotency_key), response)

    @router.post("/jobs/{job_id}/rerun", summary="Submit it again, changed", status_code=202, responses=ENDED_OR_NOT)
    def rerun_job(
        request: Request,
        response: Response,
        job_id: str,
        changes: Changes,
        wait: Wait = None,
        idempotency_key: Key = None,
    ) -> Standing:
        return told(_again(parts, request, job_id, changes, wait, idempotency_key), response)


def _again(parts: RestParts, request: Request, job_id: str, changes: Changes, wait: str | None, key: str | None) -> Job:
    changed = read_changes(changes, actor_of(request).name, key)
    job = submit_again(parts.client, parts.jobs, job_id, **changed)
    audit(request, "job.rerun", job_id, new_job=job.id)
    wait_for(job, wait, parts.waiters)
    return job
