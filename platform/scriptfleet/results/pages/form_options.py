"""Options of a submit that forms have a field for; a field that is left empty says nothing."""

from collections.abc import Callable
from typing import Final, TypeVar

from scriptfleet.errors import InvalidValue
from scriptfleet.queues.drafts import Options
from scriptfleet.results.pages.forms import Form

#: The fields, for a form that is shown again as it was filled in.
FIELDS: Final = ("queue", "timeout", "memory_mb")

_Number = TypeVar("_Number", int, float)


def options_of(form: Form) -> Options:
    """Give queue, time limit (seconds), memory limit (MiB) and further attempts; raises InvalidValue."""
    options: Options = {}
    if queue := form.get("queue", "").strip():
        options["queue"] = queue
    if (seconds := _number(form, "timeout")) is not None:
        options["timeout"] = seconds
    if (memory := _number(form, "memory_mb")) is not None:
        options["limits"] = {"memory_mb": memory}
    if attempts := _whole(form, "retries"):
        options["retry"] = attempts
    return options


def _number(form: Form, field: str) -> float | None:
    return _read(form, field, float, "a number, or nothing")


def _whole(form: Form, field: str) -> int | None:
    return _read(form, field, int, "a whole number, or nothing")


def _read(form: Form, field: str, kind: Callable[[str], _Number], expected: str) -> _Number | None:
    said = form.get(field, "").strip()
    try:
        return kind(said) if said else None
    except ValueError as fault:
        raise InvalidValue(field, said, expected) from fault
