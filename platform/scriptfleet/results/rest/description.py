"""The description of REST by OpenAPI, for people and for generated clients."""

from typing import Any, Final

from fastapi import FastAPI
from fastapi.routing import APIRoute

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
        "job_ids": {"type": "array", "items": {"type": "string"}},
    },
}
_ANSWER: Final = {
    "description": "A problem, with a stable `code`.",
    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
}
_NAMED: Final = {"401": "No token, or none that is good.", "403": "The token's role does not allow it."}
_MADE_BY_FASTAPI: Final = ("HTTPValidationError", "ValidationError")


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
