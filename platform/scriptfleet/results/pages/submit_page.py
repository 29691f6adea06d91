"""The page that submits a job. What is refused is told beside the form as it was filled in: nobody types it twice."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from scriptfleet.config import NoFleet
from scriptfleet.domain import check
from scriptfleet.domain.ids import form_job_id, new_job_id
from scriptfleet.domain.role import Role
from scriptfleet.errors import BrokerUnreachable, InvalidValue, SubmitUncertain
from scriptfleet.queues import drafts
from scriptfleet.queues.drafts import Draft, Options
from scriptfleet.results import errors
from scriptfleet.results.access.audit import audit
from scriptfleet.results.access.needs import actor_of, needs
from scriptfleet.results.pages.form_options import options_of
from scriptfleet.results.pages.forms import Form, read_form
from scriptfleet.results.pages.sources import Sources

#: After these a form is worth sending again, changed or as it is.
REFUSED = (InvalidValue, BrokerUnreachable, NoFleet, SubmitUncertain)


def submit_routes(sources: Sources) -> APIRouter:
    """Give the routes."""
    router = APIRouter()

    @router.get("/submit")
    def submit_page(request: Request) -> HTMLResponse:
        return sources.renderer.page(request, "submit.html", form={}, fault="", nonce=new_job_id())

    @router.post("/submit", dependencies=[needs(Role.OPERATOR)])
    def submit(request: Request, form: Annotated[Form, Depends(read_form)]) -> Response:
        try:
            return RedirectResponse(f"/jobs/{_submit(request, sources, form)}?new=true", 303)
        except REFUSED as fault:
            problem = errors.problem_of(fault)
            # With its mark: when the first one did arrive, sending it again makes no second job.
            shown = {"form": form, "fault": errors.detail_of(fault), "nonce": form.get("nonce") or new_job_id()}
            page = sources.renderer.page(request, "submit.html", **shown)
            page.status_code = int(problem.status)
            page.headers.update(errors.headers_of(fault, problem))
            return page

    return router


def _submit(request: Request, sources: Sources, form: Form) -> str:
    broker = sources.client.broker
    draft = draft_of(form, broker.settings.blob_max_bytes, actor_of(request).name)
    mark = check.text("nonce", form.get("nonce") or new_job_id(), 64)
    job = sources.client.submit_draft(draft, form_job_id(mark, draft.spec.to_json()))
    audit(request, "job.submit", job.id, name=draft.spec.name, queue=draft.spec.queue)
    return job.id


def draft_of(form: Form, limit_bytes: int, submitted_by: str) -> Draft:
    """Make a draft of what the form says; raises InvalidValue."""
    options: Options = {"queue": "default", **options_of(form), "submitted_by": submitted_by}
    if name := form.get("name", "").strip():
        options["name"] = name
    # A browser sends each line break as two characters.
    source = form.get("source", "").replace("\r\n", "\n")
    if form.get("kind") == "python":
        return drafts.of_code(source, (), limit_bytes, **options)
    return drafts.of_command(source, **options)
