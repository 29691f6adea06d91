"""REST of definitions: keep them, look at them and their history, submit a job of one."""

from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any, Self

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from scriptfleet.domain.definition import MOST_VERSION, Definition, Reference, changes_from
from scriptfleet.domain.masking import shown_spec
from scriptfleet.domain.parameter import of_file
from scriptfleet.domain.role import Role
from scriptfleet.queues.drafts import Draft, fields_of
from scriptfleet.queues.rerun import laid_over
from scriptfleet.results.access.audit import audit
from scriptfleet.results.access.needs import actor_of, needs
from scriptfleet.results.rest.job_writing import Key
from scriptfleet.results.rest.models import moment
from scriptfleet.results.rest.new_jobs import JobOptions, NewJob
from scriptfleet.results.rest.parts import RestParts
from scriptfleet.results.rest.standing import ENDED_OR_NOT, Standing, told
from scriptfleet.results.rest.waits import Wait, wait_for
from scriptfleet.storage.definitions import DefinitionStore, KeptVersion

_FORBID = ConfigDict(extra="forbid")
Name = Annotated[str, Path(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.\-]{0,63}$")]
Version = Annotated[int | None, Query(ge=1, le=MOST_VERSION, description="The newest unless said.")]


class NewDefinition(BaseModel):
    """A definition: a job with places `${params.NAME}` in its texts, and the parameters that they name."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "job": {"command": 'echo "${params.who}"', "timeout": 60},
                    "parameters": {"who": {"type": "string", "default": "world"}},
                }
            ]
        },
    )

    job: NewJob
    parameters: dict[str, dict[str, JsonValue]] = Field(
        default_factory=dict,
        max_length=100,
        description="By name: type (string, integer, number, boolean, choice, secret), description, default, required, "
        "choices, least, most.",
    )
    description: str = Field("", max_length=2000)

    def definition(self, name: str, limit_bytes: int) -> tuple[Definition, bytes | None]:
        """Give it, and the bytes of its script; raises InvalidValue."""
        draft = self.job.draft(limit_bytes, "nobody", None)
        spec = replace(draft.spec, submitted_by=None)
        return Definition(name, spec, of_file(self.parameters), self.description), draft.content


class NewJobOf(BaseModel):
    """What one job of a definition has of its own."""

    model_config = _FORBID

    parameters: dict[str, str | bool | int | float | None] = Field(
        default_factory=dict,
        description="Values by name; what is not named has its default.",
        examples=[{"who": "you"}],
    )
    version: int | None = Field(None, ge=1, le=MOST_VERSION, description="The newest unless said.")
    options: JobOptions | None = Field(None, description="What is otherwise than the definition says.")


class DefinitionView(BaseModel):
    """One version of a definition; one that stands for a removal has no spec."""

    name: str
    version: int
    is_removed: bool
    description: str
    parameters: dict[str, dict[str, JsonValue]]
    spec: dict[str, JsonValue] | None = Field(description="Secrets in it are not shown.")
    changed_by: str
    changed_at: datetime

    @classmethod
    def of(cls, kept: KeptVersion, parts: RestParts) -> Self:
        """Give the view of a version."""
        return cls.model_validate(_fields(kept, parts))


class DefinitionList(BaseModel):
    """The newest version of each definition, by name."""

    definitions: list[DefinitionView]


class VersionView(DefinitionView):
    """A version, and what it changed."""

    changes: list[str] = Field(description="Paths of what differs from the version before; made, or removed.")


class VersionList(BaseModel):
    """All versions, the newest first."""

    versions: list[VersionView]


def definition_routes(parts: RestParts) -> APIRouter:
    """Give the routes."""
    router = APIRouter(prefix="/api/v1", tags=["definitions"], dependencies=[needs(Role.VIEWER)])
    _add_reading(router, parts)
    _add_changing(router, parts)
    _add_submit(router, parts)
    return router


def _add_reading(router: APIRouter, parts: RestParts) -> None:
    store = parts.definitions

    @router.get("/definitions", summary="List definitions")
    def list_definitions() -> DefinitionList:
        return DefinitionList(definitions=[DefinitionView.of(one, parts) for one in store.list()])

    @router.get("/definitions/{name}", summary="One definition")
    def get_definition(name: Name, version: Version = None) -> DefinitionView:
        return DefinitionView.of(store.get(Reference(name, version)), parts)

    @router.get("/definitions/{name}/versions", summary="Who changed a definition when, and what")
    def list_versions(name: Name) -> VersionList:
        found = store.history(name)
        befores = [*(one.definition for one in found[1:]), None]
        views = [
            VersionView.model_validate({**_fields(kept, parts), "changes": changes_from(before, kept.definition)})
            for kept, before in zip(found, befores, strict=True)
        ]
        return VersionList(versions=views)


def _add_changing(router: APIRouter, parts: RestParts) -> None:
    store, limit, may = parts.definitions, parts.client.broker.settings.blob_max_bytes, [needs(Role.OPERATOR)]

    @router.put("/definitions/{name}", summary="Keep a definition, as a new version where it differs", dependencies=may)
    def put_definition(request: Request, name: Name, body: NewDefinition) -> DefinitionView:
        definition, content = body.definition(name, limit)
        kept = store.add(definition, content, actor_of(request).name)
        audit(request, "definition.change", name, version=kept.version)
        return DefinitionView.of(kept, parts)

    @router.delete("/definitions/{name}", summary="Remove a definition; its history stays", dependencies=may)
    def remove_definition(request: Request, name: Name) -> DefinitionView:
        audit(request, "definition.remove", name)
        return DefinitionView.of(store.remove(name, actor_of(request).name), parts)


def _add_submit(router: APIRouter, parts: RestParts) -> None:
    @router.post(
        "/definitions/{name}/jobs",
        summary="Submit a job of a definition",
        status_code=202,
        responses=ENDED_OR_NOT,
        dependencies=[needs(Role.OPERATOR)],
    )
    def submit_job_of(
        request: Request,
        response: Response,
        name: Name,
        body: NewJobOf,
        wait: Wait = None,
        idempotency_key: Key = None,
    ) -> Standing:
        options: dict[str, Any] = body.options.options() if body.options else {}
        if idempotency_key is not None:
            options["idempotency_key"] = idempotency_key
        options["submitted_by"] = actor_of(request).name
        draft, kept = draft_of(parts.definitions, Reference(name, body.version), body.parameters, options)
        job = parts.client.submit_draft(draft)
        audit(request, "definition.submit", name, version=kept.version, job=job.id)
        wait_for(job, wait, parts.waiters)
        return told(job, response)


def draft_of(
    store: DefinitionStore, reference: Reference, values: dict[str, Any], options: dict[str, Any]
) -> tuple[Draft, KeptVersion]:
    """Make the draft of a job of a definition; raises InvalidValue, DefinitionNotFound."""
    kept = store.get(reference)
    spec = kept.living().filled(values, kept.version)
    moments = {name: value.timestamp() for name, value in options.items() if isinstance(value, datetime)}
    changed = replace(spec, **fields_of(laid_over(spec, options | moments)))
    return Draft(changed, store.content(kept.name, kept.version)), kept


def _fields(kept: KeptVersion, parts: RestParts) -> dict[str, Any]:
    said: dict[str, Any] = {"name": kept.name, "version": kept.version, "is_removed": kept.definition is None}
    said |= {"changed_by": kept.changed_by, "changed_at": moment(kept.changed_at)}
    if kept.definition is None:
        return said | {"description": "", "parameters": {}, "spec": None}
    whole = kept.definition.to_dict()
    return said | {**whole, "spec": shown_spec(whole["spec"], parts.secret_prefixes)}
