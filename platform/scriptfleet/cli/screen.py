"""What verbs print: numbers, lines of facts, JSON. Tables are in tables.py, since drawing them costs start-up time."""

import contextlib
import datetime
import sys
from collections.abc import Mapping
from typing import Any

from scriptfleet.domain.state import State
from scriptfleet.domain.terminal_text import clean_line
from scriptfleet.domain.usage import Usage

UNKNOWN = "-"
#: Where the output is no terminal; and what every line of ours fits into, where its parts can.
TABLE_WIDTH = 80
#: Below so many seconds, so many digits after the point.
_DIGITS = ((1, 3), (100, 2))
_AGES = ((86_400, "d"), (3600, "h"), (60, "m"))


def print_json(data: object) -> None:
    """Print JSON on stdout."""
    # A script that is run for people has none.
    import json  # noqa: PLC0415

    print(json.dumps(data, indent=2, ensure_ascii=False, default=str))


def note(text: str) -> None:
    """Print a line for people on stderr; where that cannot be written nobody is left to be told, and all goes on."""
    with contextlib.suppress(OSError):
        print(text, file=sys.stderr, flush=True)


def print_facts(facts: Mapping[str, str]) -> None:
    """Print names and values in two columns; empty values are left out, and further lines of one stand below it."""
    width = max(map(len, facts), default=0)
    below = "\n" + " " * (width + 2)
    for name, value in facts.items():
        if value:
            print(f"{name:<{width}}  " + value.replace("\n", below))


def seconds(value: float | None) -> str:
    """Give seconds with the digits that matter."""
    if value is None:
        return UNKNOWN
    digits = next((digits for most, digits in _DIGITS if value < most), 0)
    return f"{value:.{digits}f}"


def age(seconds_ago: float) -> str:
    """Give how long something is ago in one short word, such as 90s, 5m, 3h or 12d."""
    whole = max(0, round(seconds_ago))
    for unit, mark in _AGES:
        if whole >= 2 * unit:
            return f"{whole // unit}{mark}"
    return f"{whole}s"


def mebibytes(value: float | None) -> str:
    """Give MiB."""
    return UNKNOWN if value is None else f"{value:.1f}"


def moment(epoch_seconds: float | None) -> str:
    """Give a moment in this machine's time zone."""
    if epoch_seconds is None:
        return ""
    try:
        local = datetime.datetime.fromtimestamp(epoch_seconds, datetime.UTC).astimezone()
    except (ValueError, OverflowError, OSError):
        # One row that no calendar knows must not hide the others.
        return f"{epoch_seconds:.0f} s after 1970"
    return local.strftime("%Y-%m-%d %H:%M:%S %z")


def cost_lines(name: str, outcome: State, usage: Usage) -> str:
    """Give how a run ended and what it cost in one line, and its error in a second one."""
    parts = [f"{clean_line(name, 60)}: {outcome}"]
    if usage.exit_code is not None:
        parts.append(f"exit {usage.exit_code}")
    lines = _fitted(" · ".join(parts), " · ".join(_costs(usage)))
    if usage.error_message:
        lines.append(f"  {clean_line(usage.error_message, 500)}")
    return "\n".join(lines)


def _fitted(ending: str, costs: str) -> list[str]:
    if not costs:
        return [ending]
    whole = f"{ending} · {costs}"
    return [whole] if len(whole) <= TABLE_WIDTH else [ending, f"  {costs}"]


def cost_facts(usage: Usage) -> dict[str, str]:
    """Give the measures people ask for first, for print_facts."""
    known = {
        "exit code": usage.exit_code,
        "error": clean_line(usage.error_message, 500) if usage.error_message else None,
        "wall": _with_unit(usage.execution_time_seconds, "s"),
        "CPU": _cpu(usage),
        "peak memory": None if usage.memory_max_mb is None else f"{usage.memory_max_mb:.1f} MiB",
        "processes": usage.pids_count,
        "queue wait": _with_unit(usage.queue_wait_seconds, "s"),
    }
    return {name: "" if value is None else str(value) for name, value in known.items()}


def usage_of(record: Mapping[str, Any] | None) -> Usage:
    """Give the measures in a record as the broker keeps it; all unknown when there is none."""
    return Usage.from_dict(record["usage"]) if record else Usage()


def _costs(usage: Usage) -> list[str]:
    found = []
    if usage.execution_time_seconds is not None:
        found.append(f"wall {seconds(usage.execution_time_seconds)} s")
    if cpu := _cpu(usage):
        found.append(f"CPU {cpu}")
    if usage.memory_max_mb is not None:
        found.append(f"peak {mebibytes(usage.memory_max_mb)} MiB")
    if usage.pids_count is not None:
        found.append(f"{usage.pids_count} process{'' if usage.pids_count == 1 else 'es'}")
    return found


def _cpu(usage: Usage) -> str | None:
    if usage.cpu_seconds is None:
        return None
    share = "" if usage.cpu_avg is None else f" ({usage.cpu_avg:.0f} %)"
    return f"{seconds(usage.cpu_seconds)} s{share}"


def _with_unit(value: float | None, unit: str) -> str | None:
    return None if value is None else f"{seconds(value)} {unit}"
