"""REST: jobs, runs and their output, read from the store."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse

from scriptfleet.domain.role import Role
from scriptfleet.results.access.needs import needs
from scriptfleet.results.models import (
    JobDetail,
    JobPage,
    JobQuery,
    JobView,
    OutputQuery,
    PageQuery,
    RunDetail,
    RunPage,
    RunQuery,
    RunView,
)
from scriptfleet.storage.job_store import JobStore
from scriptfleet.storage.paging import MOST_ROWS, Page, PageRequest
from scriptfleet.storage.run_store import RunFilter, RunRow, RunStore

_PROBLEM = {"description": "A problem, as application/problem+json with a stable `code`."}


def rest_routes(jobs: JobStore, runs: RunStore, secret_prefixes: Sequence[str] = ()) -> APIRouter:
    """Give the routes under /api/v1; ``secret_prefixes`` mark further variables that are not shown."""
    router = APIRouter(
        prefix="/api/v1",
        responses=dict.fromkeys((401, 403, 404, 422, 503), _PROBLEM),
        dependencies=[needs(Role.VIEWER)],
    )
    _add_job_routes(router, jobs, runs, secret_prefixes)
    _add_run_routes(router, runs)
    return router


def _add_job_routes(router: APIRouter, jobs: JobStore, runs: RunStore, secret_prefixes: Sequence[str]) -> None:
    @router.get("/jobs", tags=["jobs"], summary="Find jobs")
    def list_jobs(query: Annotated[JobQuery, Query()]) -> JobPage:
        found = jobs.page(query.which(), query.page())
        return JobPage(jobs=[JobView.of(job) for job in found.items], next_cursor=found.next_cursor)

    @router.get("/jobs/{job_id}", tags=["jobs"], summary="One job, its spec and its newest runs")
    def get_job(job_id: str) -> JobDetail:
        job = jobs.get(job_id)
        found = runs.page(RunFilter(job_id=job_id), PageRequest(MOST_ROWS)).items
        return JobDetail.with_runs(job, found, secret_prefixes)

    @router.get("/jobs/{job_id}/runs", tags=["jobs"], summary="The runs of a job")
    def list_runs_of_job(job_id: str, query: Annotated[PageQuery, Query()]) -> RunPage:
        jobs.get(job_id)
        return _run_page(runs.page(RunFilter(job_id=job_id), query.page()))


def _add_run_routes(router: APIRouter, runs: RunStore) -> None:
    @router.get("/runs", tags=["runs"], summary="Find runs")
    def list_runs(query: Annotated[RunQuery, Query()]) -> RunPage:
        return _run_page(runs.page(query.which(), query.page()))

    @router.get("/runs/{run_id}", tags=["runs"], summary="One run: what it cost, and its curve")
    def get_run(run_id: str) -> RunDetail:
        return RunDetail.with_curve(runs.get(run_id), runs.curve(run_id))

    @router.get(
        "/runs/{run_id}/output",
        tags=["runs"],
        summary="What a run wrote, byte for byte as it is stored",
        response_class=StreamingResponse,
        responses={200: {"content": {"text/plain": {}}}},
    )
    def get_output(run_id: str, query: Annotated[OutputQuery, Query()]) -> StreamingResponse:
        runs.get(run_id)
        return StreamingResponse(runs.output(run_id, query.stream), media_type="text/plain; charset=utf-8")


def _run_page(found: Page[RunRow]) -> RunPage:
    return RunPage(runs=[RunView.of(run) for run in found.items], next_cursor=found.next_cursor)
