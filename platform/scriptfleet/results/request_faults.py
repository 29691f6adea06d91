"""What is wrong with a request that no route could read, in one sentence: where, the value, what is expected."""

from typing import Any, Final

from fastapi import Request
from fastapi.exceptions import RequestValidationError

_JSON: Final = "application/json"
_SHOWN_CHARS: Final = 120
#: What FastAPI says of a body that its reader gave up on.
UNREADABLE: Final = "There was an error parsing the body"
UNREADABLE_SAID: Final = "the body cannot be read: send JSON in UTF-8, not a thousand levels deep, no endless numbers"


def first_fault(request: Request, error: Exception) -> str:
    """Tell of the first fault; the others come to light once it is mended."""
    if not isinstance(error, RequestValidationError) or not error.errors():
        return str(error)
    fault = error.errors()[0]
    where = [str(part) for part in fault["loc"]]
    if fault["type"] == "json_invalid":
        reason = fault.get("ctx", {}).get("error", "it ends too early")
        return f"body: no JSON: {reason} (character {where[-1]}): send one JSON object"
    if where == ["body"]:
        return _of_body(request, fault)
    return _of_field(".".join(where[1:]) or "request", fault)


def _of_body(request: Request, fault: dict[str, Any]) -> str:
    if fault["type"] == "missing":
        return f"body: nothing was sent: send a JSON object, with Content-Type: {_JSON}"
    said = request.headers.get("content-type", "")
    if isinstance(fault.get("input"), bytes):
        return f"Content-Type: {said[:_SHOWN_CHARS]!r} cannot be read here: send JSON, with Content-Type: {_JSON}"
    return f"body: {_shown(fault)} is not accepted: send a JSON object"


def _of_field(field: str, fault: dict[str, Any]) -> str:
    if fault["type"] == "missing":
        return f"{field}: missing: it must be given"
    if fault["type"] == "extra_forbidden":
        return f"{field}: {_shown(fault)} is not accepted: there is nothing of this name here"
    return f"{field}: {_shown(fault)} is not accepted: {_expected(fault)}"


def _expected(fault: dict[str, Any]) -> str:
    said = str(fault["msg"])
    return said[:1].lower() + said[1:]


def _shown(fault: dict[str, Any]) -> str:
    return repr(str(fault.get("input"))[:_SHOWN_CHARS])
