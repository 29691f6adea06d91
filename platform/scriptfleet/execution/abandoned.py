"""A run whose shim was killed, perhaps with the launcher above it: what is left of it is ended from here."""

import contextlib
import os
import select
from typing import Final

from scriptfleet.execution.cgroups.group import RunGroup
from scriptfleet.execution.shim import tree

_ROUNDS: Final = 100
_ROUND_SECONDS: Final = 0.01
#: Of /proc/<pid>/stat, counted after the command's closing parenthesis; see proc(5).
_STATE, _SESSION = 0, 3


def end_abandoned(group: RunGroup | None, main_pid: int) -> None:
    """Kill what is left: all that is in its group or, without one, in the session that the script began.

    A launcher that lives does so too, and then finds nothing more to do.
    """
    if group is not None:
        group.end()
        return
    for _ in range(_ROUNDS):
        left = _session(main_pid)
        if not left:
            return
        for pid in left:
            tree.kill_with_tree(pid)
        select.select([], [], [], _ROUND_SECONDS)


def _session(session: int) -> list[int]:
    if not os.path.isdir("/proc/self"):
        # Where there is no /proc, the reader of the run's tree ends what strayed (monitor/portable.py).
        return []
    return [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if _is_alive_in(pid, session)]


def _is_alive_in(pid: int, session: int) -> bool:
    with contextlib.suppress(OSError, IndexError), open(f"/proc/{pid}/stat", "rb") as stat:
        fields = stat.read().rsplit(b")", 1)[1].split()
        return int(fields[_SESSION]) == session and fields[_STATE] not in b"ZX"
    return False
