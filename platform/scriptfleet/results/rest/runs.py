"""REST that reads runs: what each cost, and its curve."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from scriptfleet.domain.role import Role
from scriptfleet.results.access.needs import needs
from scriptfleet.results.rest.live_curve import live_curve
from scriptfleet.results.rest.models import RunDetail, RunPage, RunQuery, RunView
from scriptfleet.results.rest.parts import RestParts
from scriptfleet.results.rest.process_trees import ProcessTrees, ProcessTreeView
from scriptfleet.storage.paging import Page
from scriptfleet.storage.run_store import RunRow


class Samples(BaseModel):
    """The curve of a run, column by column; empty for runs too short for a sample, and until a worker has told."""

    run_id: str
    is_live: bool = Field(
        description="Whether the run goes on: then this is its curve so far, of some 60 points at most, and whoever "
        "asks has its worker tell it each second for the next ten."
    )
    seconds: list[float] = Field(description="Since its start.")
    cpu_percent: list[float] = Field(description="Of one core, over the whole tree.")
    memory_mb: list[float] = Field(description="Resident, MiB, of the whole tree.")
    processes: list[int]
    block_io_read_bytes: list[int | None] = Field(
        description="From storage, by the whole tree since its start; null where nobody told."
    )
    block_io_write_bytes: list[int | None] = Field(description="To storage, likewise.")


def run_routes(parts: RestParts) -> APIRouter:
    """Give the routes."""
    router = APIRouter(prefix="/api/v1", tags=["runs"], dependencies=[needs(Role.VIEWER)])
    runs, trees = parts.runs, ProcessTrees(parts)

    @router.get("/runs", summary="Find runs")
    def list_runs(query: Annotated[RunQuery, Query()]) -> RunPage:
        return run_page(runs.page(query.which(), query.page()))

    @router.get("/runs/{run_id}", summary="One run: what it cost, and its curve")
    def get_run(run_id: str) -> RunDetail:
        return RunDetail.with_curve(runs.get(run_id), runs.curve(run_id))

    @router.get("/runs/{run_id}/samples", summary="The curve of a run, column by column")
    def get_samples(run_id: str) -> Samples:
        run = runs.get(run_id)
        is_live = run.outcome is None
        points = live_curve(parts.client.broker, run) if is_live else runs.curve(run_id)
        return Samples(
            run_id=run_id,
            is_live=is_live,
            seconds=[point.seconds for point in points],
            cpu_percent=[point.cpu_percent for point in points],
            memory_mb=[point.memory_mb for point in points],
            processes=[point.processes for point in points],
            block_io_read_bytes=[point.block_io_read_bytes for point in points],
            block_io_write_bytes=[point.block_io_write_bytes for point in points],
        )

    @router.get("/runs/{run_id}/processes", summary="The processes of a run: now, or when they were most")
    def get_processes(run_id: str) -> ProcessTreeView:
        return trees.of(runs.get(run_id))

    return router


def run_page(found: Page[RunRow]) -> RunPage:
    """Give the answer for a page of runs."""
    return RunPage(runs=[RunView.of(run) for run in found.items], next_cursor=found.next_cursor)
