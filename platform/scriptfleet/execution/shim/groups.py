"""How far a shim reaches with what every system offers: by process groups and by who is whose parent."""

from __future__ import annotations

import os

from scriptfleet.execution.shim import processes, tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Set


class Groups:
    """What descends from this process, and the process groups of all that ever did when it was looked.

    The script begins a group and a session of its own. What leaves both, and its parent, is out of reach: the worker,
    which reads the machine's processes, ends that.
    """

    look_seconds: float | None = 0.02

    def __init__(self, main_pid: int) -> None:
        self._groups = {main_pid}

    def signal(self, signum: int, spared: Set[int] = frozenset()) -> set[int]:
        """Send a signal to all that is found."""
        meant = self._members() - spared
        tree.send(meant, signum)
        return meant

    def kill(self) -> None:
        """Kill all that is found, stopped first."""
        tree.kill_found(self._members)

    def is_left(self) -> bool:
        """Tell whether a process of the groups is alive; those in the middle of their end are not."""
        self._groups = {group for group in self._groups if processes.has_group(group)}
        return bool(self._groups) and bool(self._members())

    def _members(self) -> set[int]:
        table = processes.listed()
        found = processes.below(os.getpid(), self._groups, table)
        self._groups |= {one.group for one in table if one.pid in found and one.group != os.getpgrp()}
        return found
