"""The pages: runs, one run, one job. Plain HTML without scripts; all that varies is escaped."""

from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import HTMLResponse, Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from pydantic import BaseModel, ConfigDict

from scriptfleet.domain.role import Role
from scriptfleet.domain.state import FINAL, State
from scriptfleet.queues.rerun import rerun_of
from scriptfleet.results import shown
from scriptfleet.results.access.needs import needs, open_to_all
from scriptfleet.results.errors import Problem
from scriptfleet.storage.event_rows import STREAMS
from scriptfleet.storage.job_store import JobRow, JobStore
from scriptfleet.storage.paging import PageRequest
from scriptfleet.storage.run_store import RunFilter, RunRow, RunStore

_FOLDER = Path(__file__).with_name("pages")

ROWS = 50
REFRESH_SECONDS = 5
#: How much of an output a page shows; the rest is one link away.
OUTPUT_SHOWN_BYTES = 64 * 1024


class ListQuery(BaseModel):
    """What the list of runs can be asked for."""

    model_config = ConfigDict(extra="forbid")

    name: str | None = None
    outcome: State | None = None
    cursor: str | None = None
    refresh: bool = True

    def which(self) -> RunFilter:
        """Give what the store takes."""
        return RunFilter(name=self.name or None, outcome=self.outcome)


class Pages:
    """Renders the pages."""

    def __init__(self, jobs: JobStore, runs: RunStore) -> None:
        self._jobs, self._runs = jobs, runs
        self._templates = Environment(
            loader=FileSystemLoader(_FOLDER),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        filters = (shown.printable, shown.duration, shown.mebibytes, shown.moment_text, shown.moment_iso)
        self._templates.filters.update({one.__name__: one for one in filters})
        self._templates.globals["NOTHING"] = shown.NOTHING

    def runs(self, query: ListQuery) -> HTMLResponse:
        """Show a page of runs, the last begun first."""
        found = self._runs.page(query.which(), PageRequest(ROWS, query.cursor))
        counts = self._runs.counts(RunFilter(name=query.name or None))
        # Turning pages or pausing stops the refresh, so that nobody's reading place moves.
        seconds = REFRESH_SECONDS if query.refresh and query.cursor is None else None
        return self._render(
            "runs.html",
            page=found,
            counts=counts,
            query=query,
            outcomes=[State.RUNNING, *(state for state in State if state in FINAL and str(state) in counts)],
            refresh_seconds=seconds,
        )

    def run(self, run_id: str) -> HTMLResponse:
        """Show one run: its measures, its output, the other runs of its job."""
        run = self._runs.get(run_id)
        siblings = self._runs.page(RunFilter(job_id=run.job_id), PageRequest(ROWS)).items
        return self._render(
            "run.html",
            run=run,
            siblings=siblings,
            measures=shown.measure_rows(run.usage),
            outputs=[(stream, *self._output(run, stream)) for stream in STREAMS],
            refresh_seconds=REFRESH_SECONDS if run.outcome is None else None,
        )

    def job(self, job_id: str) -> HTMLResponse:
        """Show one job: what was submitted, and its runs."""
        job = self._jobs.get(job_id)
        found = self._runs.page(RunFilter(job_id=job_id), PageRequest(ROWS)).items
        refresh = None if job.state.is_final else REFRESH_SECONDS
        return self._render("job.html", job=job, runs=found, facts=_facts(job), refresh_seconds=refresh)

    def problem(self, problem: Problem, detail: str) -> HTMLResponse:
        """Show what went wrong."""
        return self._render("problem.html", int(problem.status), problem=problem, detail=detail, refresh_seconds=None)

    def _output(self, run: RunRow, stream: str) -> tuple[str, bool]:
        body = self._runs.output_end(run.run_id, stream, OUTPUT_SHOWN_BYTES + 1)
        return shown.printable_bytes(body[-OUTPUT_SHOWN_BYTES:]), len(body) > OUTPUT_SHOWN_BYTES

    def _render(self, name: str, status: int = 200, /, **values: object) -> HTMLResponse:
        return HTMLResponse(self._templates.get_template(name).render(**values), status)


def page_routes(pages: Pages) -> APIRouter:
    """Give the routes of the pages."""
    router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse, dependencies=[needs(Role.VIEWER)])

    @router.get("/")
    def list_runs(query: Annotated[ListQuery, Query()]) -> HTMLResponse:
        return pages.runs(query)

    @router.get("/runs/{run_id}")
    def show_run(run_id: str) -> HTMLResponse:
        return pages.run(run_id)

    @router.get("/jobs/{job_id}")
    def show_job(job_id: str) -> HTMLResponse:
        return pages.job(job_id)

    return router


def style_route() -> APIRouter:
    """Give the style sheet, to the login page too."""
    router = APIRouter(include_in_schema=False, dependencies=[open_to_all])
    style = (_FOLDER / "style.css").read_bytes()

    @router.get("/style.css")
    def style_sheet() -> Response:
        return Response(style, media_type="text/css", headers={"Cache-Control": "max-age=3600"})

    return router


def _facts(job: JobRow) -> list[tuple[str, str]]:
    labels = ", ".join(f"{name}={value}" for name, value in (job.labels or {}).items())
    said = {
        "Kind": job.kind,
        "Queue": job.queue,
        "Priority": job.priority,
        "Group": job.group_name,
        "Labels": labels,
        "Schedule": job.schedule,
        "Submitted by": job.submitted_by,
        "Rerun of": rerun_of(job.spec),
        "Reason": job.reason,
    }
    return [(name, shown.printable(str(value))) for name, value in said.items() if value not in (None, "")]
