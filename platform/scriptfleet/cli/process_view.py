"""The process tree of a job's last run, as ``status --processes`` shows it."""

import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any, Final

from scriptfleet.cli.known_job import BROKER_AWAY
from scriptfleet.cli.screen import TABLE_WIDTH, mebibytes, seconds
from scriptfleet.config import Settings
from scriptfleet.domain.state import FINAL, State
from scriptfleet.domain.terminal_text import clean_line
from scriptfleet.queues.client import Broker
from scriptfleet.queues.connection import told_plainly

#: A worker tells within a second or two that somebody looks; one of an older version never does.
_LONGEST_SECONDS: Final = 5.0
_LOOK_SECONDS: Final = 0.1
_INDENT: Final = "  "
#: So deep a process stands at most in a drawing.
_DEEPEST: Final = 10
_NUMBERS: Final = "{:>8} {:>9} {:>9} {:>8}  "


def tree_of(settings: Settings, known: dict[str, Any]) -> dict[str, Any] | None:
    """Give the tree of a run that goes on as its worker tells it, or as it was kept; None where there is none."""
    if known["state"] == State.RUNNING:
        return _live(settings, known)
    if known.get("process_tree") or known["state"] not in FINAL or not known.get("run_id"):
        found: dict[str, Any] | None = known.get("process_tree")
        return found
    # Loading the database's library takes longer than most answers of the broker.
    from scriptfleet.cli import stored_jobs  # noqa: PLC0415

    return stored_jobs.stored_tree(settings, known["run_id"])


def tree_lines(tree: dict[str, Any]) -> list[str]:
    """Draw a tree: children below their parents, further in."""
    rows = tree["processes"]
    lines = [_NUMBERS.format("pid", "CPU s", "MiB", "age s") + "command"]
    for one, depth in _in_order(rows):
        numbers = (one["pid"], seconds(one["cpu_seconds"]), mebibytes(one["memory_mb"]), f"{one['age_seconds']:.0f}")
        line = _NUMBERS.format(*numbers) + _INDENT * min(depth, _DEEPEST)
        lines.append(line + clean_line(one["command"], TABLE_WIDTH - len(line)))
    if tree["count"] > len(rows):
        lines.append(f"and {tree['count'] - len(rows)} smaller ones")
    return lines


def _in_order(rows: Sequence[dict[str, Any]]) -> Iterator[tuple[dict[str, Any], int]]:
    """Give each process after its parent, with how deep it is. What is nobody's child, as in a ring, comes last."""
    pids = {one["pid"] for one in rows}
    below: dict[int, list[dict[str, Any]]] = {}
    for one in rows:
        below.setdefault(one["parent_pid"], []).append(one)
    stack = [(one, 0) for one in reversed(rows) if one["parent_pid"] not in pids]
    shown = set()
    while stack:
        one, depth = stack.pop()
        shown.add(one["pid"])
        yield one, depth
        stack += [(child, depth + 1) for child in reversed(below.pop(one["pid"], []))]
    yield from ((one, 0) for one in rows if one["pid"] not in shown)


def _live(settings: Settings, known: dict[str, Any]) -> dict[str, Any] | None:
    try:
        broker, until = Broker(settings), time.monotonic() + _LONGEST_SECONDS
        with told_plainly(broker.url):
            broker.close_looks.look(known["job_id"])
            while (found := broker.close_looks.processes(known["run_id"])) is None and time.monotonic() < until:
                threading.Event().wait(_LOOK_SECONDS)
    except BROKER_AWAY:
        # look_up has said so.
        return None
    return found
