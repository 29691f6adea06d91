"""The limits of a job as pages show them, each with what a run used of it."""

from collections.abc import Callable
from typing import Any, Final

from scriptfleet.domain.usage import Usage

_Used = Callable[[Usage], float | None]
_UNKNOWN: Final[_Used] = lambda _usage: None  # noqa: E731
_LIMITS: Final[tuple[tuple[str, str, str, _Used], ...]] = (
    ("timeout_seconds", "Time", "s", lambda usage: usage.execution_time_seconds),
    ("grace_seconds", "Grace after TERM", "s", _UNKNOWN),
    ("memory_mb", "Memory", "MiB", lambda usage: usage.memory_max_mb),
    ("cpu_seconds", "CPU time", "s", lambda usage: usage.cpu_seconds),
    ("processes", "Processes", "", lambda usage: usage.pids_count),
    ("open_files", "Open files", "", _UNKNOWN),
    ("file_size_bytes", "File size", "bytes", _UNKNOWN),
    ("output_bytes", "Output", "bytes", _UNKNOWN),
)


def limit_rows(spec: dict[str, Any], usage: Usage | None = None) -> list[tuple[str, str]]:
    """Give name and text of each limit that a spec sets; nothing of a spec that is not known."""
    if not spec:
        return []
    flat = {**spec, **(spec.get("limits") or {})}
    found = [
        (what, f"{_number(flat[name])} {unit}".strip() + _share(flat[name], used(usage) if usage else None))
        for name, what, unit, used in _LIMITS
        if flat.get(name) is not None
    ]
    attempts = (spec.get("retry") or {}).get("max_attempts", 1)
    return [*found, ("Attempts", str(attempts))]


def _number(limit: float) -> str:
    return f"{int(limit) if limit == int(limit) else limit:,}"


def _share(limit: float, used: float | None) -> str:
    return "" if used is None or not limit else f", {100 * used / limit:.0f} % used"
