"""What living jobs are found by: each mark is the end of the name of a set in the broker, see marked: in keys.py."""

import json
from collections.abc import Mapping


def marks_of(group: str | None, labels: Mapping[str, str]) -> list[str]:
    """Give the marks of a job of this group with these labels."""
    return [*([f"group:{group}"] if group else []), *(f"label:{name}={value}" for name, value in labels.items())]


def as_text(marks: list[str]) -> str:
    """Give marks as the scripts take them; empty for none."""
    return json.dumps(marks) if marks else ""


def marks_in(spec: str) -> str:
    """Give the marks of a spec by its text, as the scripts take them; a spec that cannot be read has none."""
    try:
        plain = json.loads(spec)
        return as_text(marks_of(plain.get("group"), plain.get("labels") or {}))
    except (ValueError, AttributeError):
        return ""
