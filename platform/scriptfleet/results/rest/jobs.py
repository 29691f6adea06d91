"""REST that reads jobs: from the store, and what is newer from the broker."""

import json
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from scriptfleet.config import NoFleet
from scriptfleet.domain.masking import shown_spec
from scriptfleet.domain.role import Role
from scriptfleet.domain.state import State
from scriptfleet.errors import BrokerUnreachable, InvalidValue, JobNotFound
from scriptfleet.queues.rerun import spec_in
from scriptfleet.queues.waiting import why_waits
from scriptfleet.results.access.needs import needs
from scriptfleet.results.rest.models import JobDetail, JobPage, JobQuery, JobView, PageQuery, RunPage, moment
from scriptfleet.results.rest.parts import RestParts
from scriptfleet.results.rest.runs import run_page
from scriptfleet.results.rest.standing import in_body
from scriptfleet.results.rest.waits import Wait, seconds_of_wait, wait_for
from scriptfleet.storage.paging import MOST_ROWS, PageRequest
from scriptfleet.storage.run_filter import RunFilter

_UNDER_WAY = 202


def job_routes(parts: RestParts) -> APIRouter:
    """Give the routes."""
    router = APIRouter(prefix="/api/v1", tags=["jobs"], dependencies=[needs(Role.VIEWER)])

    @router.get("/jobs", summary="Find jobs")
    def list_jobs(query: Annotated[JobQuery, Query()]) -> JobPage:
        found = parts.jobs.page(query.which(), query.page())
        return JobPage(jobs=[JobView.of(job) for job in found.items], next_cursor=found.next_cursor)

    @router.get(
        "/jobs/{job_id}",
        summary="One job, its spec and its newest runs",
        responses={202: in_body(JobDetail, "It was waited for, and has not ended.")},
    )
    def get_job(response: Response, job_id: str, wait: Wait = None) -> JobDetail:
        wait_for(parts.client.job(job_id), wait, parts.waiters)
        found = _detail(parts, job_id)
        if not found.state.is_final:
            # The store hears of each change a moment after the broker: who has just been told of an end finds it.
            found = found.model_copy(update=_now(parts, job_id))
        if seconds_of_wait(wait) > 0 and not found.state.is_final:
            response.status_code = _UNDER_WAY
        return found

    @router.get("/jobs/{job_id}/runs", summary="The runs of a job")
    def list_runs_of_job(job_id: str, query: Annotated[PageQuery, Query()]) -> RunPage:
        parts.jobs.get(job_id)
        return run_page(parts.runs.page(RunFilter(job_id=job_id), query.page()))

    return router


def _detail(parts: RestParts, job_id: str) -> JobDetail:
    """Give a job as the store has it; one that the store has not seen yet as the broker has it."""
    try:
        job = parts.jobs.get(job_id)
    except JobNotFound as unknown:
        return _unstored(parts, job_id, unknown)
    runs = parts.runs.page(RunFilter(job_id=job_id), PageRequest(MOST_ROWS)).items
    return JobDetail.with_runs(job, runs, parts.secret_prefixes)


def _now(parts: RestParts, job_id: str) -> dict[str, Any]:
    """Give what the broker says of where a job stands; nothing where it does not know it, or is away."""
    try:
        facts = parts.client.job(job_id).facts()
    except (JobNotFound, BrokerUnreachable, NoFleet):
        return {}
    said = {"attempt": facts["attempt"], "reason": facts["reason"], "last_run_id": facts["run_id"]}
    moments = {"started_at": moment(facts["started_at"]), "finished_at": moment(facts["ended_at"])}
    if facts["state"] is State.QUEUED:
        said["why_waits"] = why_waits(parts.client.broker, job_id)
    return {"state": facts["state"], **{name: value for name, value in (said | moments).items() if value is not None}}


def _unstored(parts: RestParts, job_id: str, unknown: JobNotFound) -> JobDetail:
    now = _now(parts, job_id)
    if not now:
        raise unknown
    facts = parts.client.job(job_id).facts()
    same = {name: facts[name] for name in ("name", "kind", "queue", "priority", "rerun_of", "reason")}
    said = {"submitted_at": moment(facts["submitted_at"]), "started_at": None, "finished_at": None, "last_run_id": None}
    plain = _plain_spec(parts, job_id)
    more = {name: plain.get(name) for name in ("group", "schedule", "submitted_by")}
    spec = shown_spec(plain, parts.secret_prefixes) if plain else None
    given = {**same, **said, **more, "labels": plain.get("labels") or {}, **now}
    return JobDetail.model_validate({**given, "job_id": job_id, "spec": spec, "runs": [], "is_stored": False})


def _plain_spec(parts: RestParts, job_id: str) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(spec_in(parts.client.broker, job_id).to_json())
    except InvalidValue:
        # One that cannot be read, or was signed with another key, is told without its spec.
        return {}
    return found
