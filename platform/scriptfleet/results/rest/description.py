"""The description of REST by OpenAPI, for people and for generated clients."""

from typing import Any, Final

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute

from scriptfleet.domain.role import Role
from scriptfleet.results.access.needs import needs
from scriptfleet.results.headers import DESCRIPTION

_PROBLEM: Final[dict[str, Any]] = {
    "title": "Problem",
    "type": "object",
    "description": "What went wrong (RFC 9457). `code` is stable: programs may rely on it.",
    "required": ["type", "title", "status", "code", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string", "examples": ["job_not_found"]},
        "detail": {"type": "string", "description": "What happened, the value, what to do."},
        "job_id": {"type": "string", "description": "The job that it is about, where there is one."},
        "state": {"type": "string", "description": "Where that job stands, where that is the problem."},
        "job_ids": {"type": "array", "items": {"type": "string"}},
    },
}
_ANSWER: Final = {
    "description": "A problem, with a stable `code`.",
    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
}
_LINKSET: Final = 'application/linkset+json; profile="https://www.rfc-editor.org/info/rfc9727"'
_NAMED: Final = {"401": "No token, or none that is good.", "403": "The token's role does not allow it."}
_MADE_BY_FASTAPI: Final = ("HTTPValidationError", "ValidationError")


def description_routes(app: FastAPI) -> APIRouter:
    """Give the routes of the description, and of the catalogue that names it (RFC 9727)."""
    router = APIRouter(include_in_schema=False, dependencies=[needs(Role.VIEWER)])

    @router.get(DESCRIPTION)
    @router.get("/openapi.json")
    def openapi() -> JSONResponse:
        return JSONResponse(describe(app))

    @router.api_route("/.well-known/api-catalog", methods=["GET", "HEAD"])
    def api_catalog(request: Request) -> JSONResponse:
        base = str(request.base_url).rstrip("/")
        described = {"href": f"{base}{DESCRIPTION}", "type": "application/json"}
        service = {"anchor": f"{base}/api/v1", "service-desc": [described], "status": [{"href": f"{base}/healthz"}]}
        return JSONResponse({"linkset": [service]}, media_type=_LINKSET)

    return router


def operation_id(route: APIRoute) -> str:
    """Give the name that a generated client calls the route by."""
    return route.name


def describe(app: FastAPI) -> dict[str, Any]:
    """Give the description, with every refusal as the problem that it is."""
    found = app.openapi()
    schemas = found["components"]["schemas"]
    for name in _MADE_BY_FASTAPI:
        schemas.pop(name, None)
    schemas["Problem"] = _PROBLEM
    for path in found["paths"].values():
        for operation in path.values():
            _describe_refusals(operation)
    return found


def _describe_refusals(operation: dict[str, Any]) -> None:
    answers = operation["responses"]
    if operation.get("security"):
        answers |= {status: {**_ANSWER, "description": what} for status, what in _NAMED.items()}
    if "422" in answers:
        answers["422"] = {**_ANSWER, "description": "A value cannot be accepted."}
    answers["default"] = _ANSWER
