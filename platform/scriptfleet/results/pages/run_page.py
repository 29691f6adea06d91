"""The pages of one run and of one job."""

import json
from typing import Annotated, Any, Final

from fastapi import APIRouter, Header, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse

from scriptfleet.config import NoFleet
from scriptfleet.domain.masking import shown_spec
from scriptfleet.domain.slowness import reasons
from scriptfleet.domain.state import State
from scriptfleet.domain.usual import BesideUsual, beside_usual
from scriptfleet.errors import BrokerUnreachable, JobNotFound
from scriptfleet.queues.rerun import rerun_of
from scriptfleet.queues.waiting import why_waits
from scriptfleet.results import shown
from scriptfleet.results.pages.curve import chart_data, missed_samples
from scriptfleet.results.pages.kept_files import kept_files
from scriptfleet.results.pages.limit_rows import limit_rows
from scriptfleet.results.pages.live_line import live_line
from scriptfleet.results.pages.process_rows import tree_rows
from scriptfleet.results.pages.run_events import JobEvents, RunEvents
from scriptfleet.results.pages.source_view import source_name, source_view
from scriptfleet.results.pages.sources import Sources
from scriptfleet.results.pages.what_rows import what_rows
from scriptfleet.results.rest.seats import Seats
from scriptfleet.storage.job_store import JobRow
from scriptfleet.storage.paging import PageRequest
from scriptfleet.storage.record_row import STREAMS
from scriptfleet.storage.run_filter import RunFilter
from scriptfleet.storage.run_store import RunRow

#: How much of an output a page shows; the rest is one link away.
OUTPUT_SHOWN_BYTES: Final = 64 * 1024
_RUNS_OF_A_JOB: Final = 50
#: So many runs before it tell what is usual.
_USUAL_RUNS: Final = 50


class RunPage:
    """Shows a run."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    def show(self, request: Request, run_id: str) -> HTMLResponse:
        """Show one run: its output, its curve, its cost, the other runs of its job. Raises RunNotFound."""
        run = self._sources.runs.get(run_id)
        siblings = self._sources.runs.page(RunFilter(job_id=run.job_id), PageRequest(_RUNS_OF_A_JOB)).items
        spec = spec_of(self._sources, run.job_id)
        curve, tree = self._sources.runs.curve(run_id), self._sources.runs.process_tree(run_id)
        return self._sources.renderer.page(
            request,
            "run.html",
            run=run,
            is_live=run.outcome is None,
            siblings=siblings,
            before=self._before(run),
            chart=json.dumps(chart_data(curve)),
            missed=missed_samples(curve),
            tree=tree_rows(tree) if tree else None,
            usual=self._beside_usual(run),
            files=kept_files(self._sources.client.broker, run),
            measures=shown.measure_rows(run.usage),
            reasons=reasons(run.usage),
            bounds=limit_rows(spec, run.usage),
            what=what_rows(spec, self._sources.client.broker.settings.secret_prefixes),
            source=source_name(spec),
            returned=_returned(run.output_data),
            outputs=[(stream, *self._output(run, stream)) for stream in STREAMS],
        )

    def _before(self, run: RunRow) -> str | None:
        """The run of the same script before this one, to compare with."""
        if not run.name:
            return None
        which = RunFilter(name=run.name, until=run.began_at)
        found = self._sources.runs.page(which, PageRequest(1)).items
        return found[0].run_id if found else None

    def _beside_usual(self, run: RunRow) -> BesideUsual | None:
        """What is usual is told by the runs of the script that went well before."""
        if not run.name or run.outcome is None:
            return None
        which = RunFilter(name=run.name, until=run.began_at, outcome=State.SUCCEEDED)
        found = self._sources.runs.page(which, PageRequest(_USUAL_RUNS)).items
        return beside_usual(run.usage, [one.usage for one in found])

    def _output(self, run: RunRow, stream: str) -> tuple[str, bool]:
        body = self._sources.runs.output_end(run.run_id, stream, OUTPUT_SHOWN_BYTES + 1)
        return shown.printable_bytes(body[-OUTPUT_SHOWN_BYTES:]), len(body) > OUTPUT_SHOWN_BYTES


class JobPage:
    """Shows a job."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    def show(self, request: Request, job_id: str, *, is_new: bool) -> Response:
        """Show one job: what was submitted, and its runs; of a new one, its run. Raises JobNotFound."""
        try:
            job = self._sources.jobs.get(job_id)
        except JobNotFound:
            # A moment after its submit the broker alone knows it.
            return self._show_new(request, job_id)
        if is_new and job.last_run_id:
            return RedirectResponse(f"/runs/{job.last_run_id}", 303)
        found = self._sources.runs.page(RunFilter(job_id=job_id), PageRequest(_RUNS_OF_A_JOB)).items
        spec = spec_of(self._sources, job_id)
        facts, bounds = _facts(job), limit_rows(spec)
        around = {
            "waits": self._why_waits(job),
            "job": job,
            "runs": found,
            "facts": facts,
            "bounds": bounds,
            "what": what_rows(spec, self._sources.client.broker.settings.secret_prefixes),
            "source": source_view(self._sources.client.broker, spec),
        }
        return self._sources.renderer.page(request, "job.html", **around)

    def _why_waits(self, job: JobRow) -> str | None:
        if job.state is not State.QUEUED:
            return None
        try:
            return why_waits(self._sources.client.broker, job.job_id)
        except (NoFleet, BrokerUnreachable) as fault:
            return str(fault)

    def _show_new(self, request: Request, job_id: str) -> HTMLResponse:
        facts = self._sources.client.job(job_id).facts()
        return self._sources.renderer.page(request, "new_job.html", job_id=job_id, state=State(facts["state"]))


def run_routes(sources: Sources, seats: Seats) -> APIRouter:
    """Give the routes of runs and jobs, one of each."""
    router = APIRouter()
    runs, jobs = RunPage(sources), JobPage(sources)

    @router.get("/runs/{run_id}")
    def show_run(request: Request, run_id: str) -> HTMLResponse:
        return runs.show(request, run_id)

    @router.get("/runs/{run_id}/events")
    def run_events(run_id: str, last_event_id: Annotated[str, Header(pattern=r"^[0-9-]*$")] = "") -> StreamingResponse:
        sources.runs.get(run_id)
        return live_line(RunEvents(sources, run_id, last_event_id).follow, seats)

    @router.get("/jobs/{job_id}")
    def show_job(request: Request, job_id: str, new: bool = False) -> Response:
        return jobs.show(request, job_id, is_new=new)

    @router.get("/jobs/{job_id}/events")
    def job_events(job_id: str, seen: str = "") -> StreamingResponse:
        return live_line(JobEvents(sources, job_id, seen).follow, seats)

    return router


def spec_of(sources: Sources, job_id: str) -> dict[str, Any]:
    """Give a spec without its secrets; nothing where the store has not seen it."""
    try:
        text = sources.jobs.get(job_id).spec
    except JobNotFound:
        return {}
    return shown_spec(json.loads(text), sources.client.broker.settings.secret_prefixes) if text else {}


def _returned(output_data: object) -> str | None:
    """Give what a function returned, or a request was answered with, as far as a page shows it."""
    if output_data is None:
        return None
    text = json.dumps(output_data, ensure_ascii=False, indent=2)
    return shown.printable(text[:OUTPUT_SHOWN_BYTES])


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
