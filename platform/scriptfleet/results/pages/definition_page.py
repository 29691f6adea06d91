"""Pages of definitions: the list, and one with a form made from its parameters that submits a job."""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from scriptfleet.domain import check
from scriptfleet.domain.definition import MOST_VERSION, Reference, changes_from
from scriptfleet.domain.ids import form_job_id, new_job_id
from scriptfleet.domain.masking import shown_spec
from scriptfleet.domain.parameter import Parameter, ParameterType
from scriptfleet.domain.parameter import shown as shown_value
from scriptfleet.domain.role import Role
from scriptfleet.queues.client import Client
from scriptfleet.results import errors
from scriptfleet.results.access.audit import audit
from scriptfleet.results.access.needs import actor_of, needs
from scriptfleet.results.pages.form_options import FIELDS, options_of
from scriptfleet.results.pages.forms import Form, read_form
from scriptfleet.results.pages.limit_rows import limit_rows
from scriptfleet.results.pages.source_view import kept_source
from scriptfleet.results.pages.sources import Sources
from scriptfleet.results.pages.submit_page import REFUSED
from scriptfleet.results.pages.what_rows import what_rows
from scriptfleet.results.rest.definitions import draft_of
from scriptfleet.storage.definitions import DefinitionStore, KeptVersion

#: Names of the form's fields are those of the parameters with this before them.
_FIELD = "p."
_INPUTS = {ParameterType.INTEGER: "number", ParameterType.NUMBER: "number"}


def definition_page_routes(sources: Sources) -> APIRouter:
    """Give the routes of the pages."""
    router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse, dependencies=[needs(Role.VIEWER)])
    store = DefinitionStore(sources.database)

    @router.get("/definitions")
    def list_definitions(request: Request) -> HTMLResponse:
        return sources.renderer.page(request, "definitions.html", definitions=store.list())

    @router.get("/definitions/{name}")
    def show_definition(
        request: Request, name: str, version: Annotated[int | None, Query(ge=1, le=MOST_VERSION)] = None
    ) -> HTMLResponse:
        return _page(request, sources, store.get(Reference(name, version)), store.history(name))

    @router.post("/definitions/{name}/jobs", dependencies=[needs(Role.OPERATOR)])
    def submit_form(request: Request, name: str, form: Annotated[Form, Depends(read_form)]) -> Response:
        reference = Reference.parse(f"{name}@{form.get('version', '')}")
        said = {field.removeprefix(_FIELD): text for field, text in form.items() if field.startswith(_FIELD)}
        try:
            job_id = _submit(request, store, sources.client, reference, said, form)
        except REFUSED as refused:
            problem = errors.problem_of(refused)
            page = _page(
                request, sources, store.get(reference), store.history(name), said, errors.detail_of(refused), form
            )
            page.status_code = int(problem.status)
            page.headers.update(errors.headers_of(refused, problem))
            return page
        return RedirectResponse(f"/jobs/{job_id}?new=true", 303)

    return router


def _page(
    request: Request,
    sources: Sources,
    kept: KeptVersion,
    history: list[KeptVersion],
    said: Mapping[str, str] | None = None,
    fault: str | None = None,
    form: Form | None = None,
) -> HTMLResponse:
    """Show a definition and its form; ``said`` and ``fault`` are of a form that was refused."""
    prefixes = sources.client.broker.settings.secret_prefixes
    spec = shown_spec(kept.living().spec.to_dict(), prefixes)
    content = DefinitionStore(sources.database).content(kept.name, kept.version)
    befores = [*(one.definition for one in history[1:]), None]
    return sources.renderer.page(
        request,
        "definition.html",
        kept=kept,
        what=what_rows(spec, prefixes),
        bounds=limit_rows(spec),
        source=kept_source(spec, content, prefixes),
        fields=[_field(one, said) for one in kept.living().parameters],
        fault=fault,
        others={field: (form or {}).get(field, "") for field in FIELDS},
        nonce=(form or {}).get("nonce") or new_job_id(),
        history=[(one, changes_from(before, one.definition)) for one, before in zip(history, befores, strict=True)],
    )


def _submit(
    request: Request, store: DefinitionStore, client: Client, reference: Reference, said: Mapping[str, str], form: Form
) -> str:
    kept = store.get(reference)
    options: dict[str, Any] = {**options_of(form), "submitted_by": actor_of(request).name}
    draft, _ = draft_of(store, reference, _values(kept, said), options)
    # A form that is sent twice, by a double click or a page loaded again, makes one job.
    job = client.submit_draft(draft, form_job_id(check.text("nonce", form.get("nonce", ""), 64), draft.spec.to_json()))
    audit(request, "definition.submit", reference.name, version=kept.version, job=job.id)
    return job.id


def _values(kept: KeptVersion, said: Mapping[str, str]) -> dict[str, object]:
    """Give what a form says; a field left empty says nothing, unless there is a text that emptying it takes away."""
    known = {one.name: one for one in kept.living().parameters}
    found: dict[str, object] = {}
    for name, text in said.items():
        parameter = known.get(name)
        is_emptied = parameter is not None and parameter.type is ParameterType.STRING and parameter.default is not None
        if text or is_emptied:
            # Browsers end lines of a text as in a message.
            found[name] = parameter.read(text.replace("\r\n", "\n")) if parameter else text
    return found


def _field(one: Parameter, said: Mapping[str, str] | None) -> dict[str, Any]:
    default = "" if one.default is None else shown_value(one.default)
    options = ("true", "false") if one.type is ParameterType.BOOLEAN else one.choices
    return {
        "parameter": one,
        "name": f"{_FIELD}{one.name}",
        "value": default if said is None else said.get(one.name, ""),
        "input": _INPUTS.get(one.type, "text"),
        "step": "1" if one.type is ParameterType.INTEGER else "any",
        "options": options,
        "may_be_empty": not one.is_required and one.default is None,
        "allowed": one.allowed(),
    }
