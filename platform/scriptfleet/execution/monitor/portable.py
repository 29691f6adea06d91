"""Readings by psutil, for systems without /proc, or where it is asked for: a walk over all processes of the machine.

No process here takes in orphans, so a run's are told by what they keep of it: their session, or their environment.
Imported only where it is used.
"""

import contextlib
import os
import threading
import time
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

import psutil

from scriptfleet.execution.monitor.tree import IoBytes, ProcessFacts, Reading, Run

#: All runs share one walk, not older than this.
_WALK_SECONDS: Final = 0.05
#: What a run left running gets so long between TERM and KILL.
_GRACE_SECONDS: Final = 0.5
#: Two clocks tell when a process began: that of the shim, and the kernel's in ticks.
_CLOCKS_APART_SECONDS: Final = 2.0
#: What is looked at of a process's arguments, which may be megabytes.
_LONGEST_ARGUMENTS: Final = 4096


class _Row(NamedTuple):
    """One process of the machine."""

    process: Any
    parent: int
    session: int
    began_wall: float


class ProcessTable:
    """All processes of the machine."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._rows: dict[int, _Row] = {}
        self._walked_at = 0.0

    def rows(self, is_fresh: bool = False) -> Mapping[int, _Row]:
        """Give them by pid as they were a moment ago, or as they are."""
        with self._guard:
            now = time.monotonic()
            if is_fresh or now - self._walked_at > _WALK_SECONDS:
                self._rows, self._walked_at = self._walk(), now
            return self._rows

    def _walk(self) -> dict[int, _Row]:
        rows: dict[int, _Row] = {}
        for pid in psutil.pids():
            with contextlib.suppress(psutil.Error, OSError):
                process = psutil.Process(pid)
                rows[pid] = _Row(process, process.ppid(), _session(pid), process.create_time())
        return rows


class PortableTree:
    """The processes of one run."""

    def __init__(self, run: Run, table: ProcessTable) -> None:
        self._run, self._table = run, table
        #: Those that are known to belong to it, as psutil tells one process from the next of the same number.
        self._members: dict[int, Any] = {}
        #: Strangers whose environment was looked at.
        self._strangers: set[tuple[int, float]] = set()
        #: CPU time as last read of those whose parent is none of the run.
        self._strayed: dict[tuple[int, float], float] = {}

    def read(self) -> dict[int, Reading]:
        """Give a reading of each process of the run, by pid."""
        rows = self._table.rows()
        if not self._members:
            # The walk may be older than the run.
            self._members = _child(self._run.main_pid, self._run.shim_pid)
        self._find(rows)
        readings: dict[int, Reading] = {}
        for pid, process in list(self._members.items()):
            reading = _read(process)
            if reading is None:
                del self._members[pid]
                continue
            readings[pid] = reading
            self._note_stray(rows.get(pid), reading)
        return readings

    def open_files(self) -> int:
        """Give the descriptors open over the tree that may be seen."""
        found = 0
        for process in self._members.values():
            with contextlib.suppress(psutil.Error, OSError):
                found += process.num_fds()
        return found

    def ended_io(self) -> IoBytes | None:
        """Nobody waits for orphans here: what they did is gone with them."""
        return IoBytes(0, 0)

    def facts(self, pid: int) -> ProcessFacts | None:
        """Give what is told of a process that was read."""
        process = self._members.get(pid)
        try:
            return None if process is None else _facts(process)
        except (psutil.Error, OSError):
            return None

    def strayed_seconds(self) -> float:
        """Give the CPU time, as last read, of orphans: their new parent tells nobody what they cost."""
        return sum(self._strayed.values())

    def close(self) -> None:
        """Read what has strayed for the last time, and end it."""
        self._table.rows(is_fresh=True)
        # What has ended and was not waited for yet holds no memory.
        left = [self._members[pid] for pid, reading in self.read().items() if reading.rss_bytes]
        _signal(left, "terminate")
        _, left = psutil.wait_procs(left, _GRACE_SECONDS)
        _signal(left, "kill")

    def _find(self, rows: Mapping[int, _Row]) -> None:
        """Add what is new: what descends from the run, is in its session, or has its environment."""
        fresh = self._new_members(rows)
        while fresh:
            self._members |= fresh
            fresh = self._new_members(rows)

    def _new_members(self, rows: Mapping[int, _Row]) -> dict[int, Any]:
        return {pid: row.process for pid, row in rows.items() if pid not in self._members and self._is_ours(pid, row)}

    def _is_ours(self, pid: int, row: _Row) -> bool:
        if row.began_wall < self._run.started_wall - _CLOCKS_APART_SECONDS or pid == self._run.shim_pid:
            return False
        if row.parent in self._members or row.session == self._run.main_pid:
            return True
        return self._has_marker(pid, row)

    def _has_marker(self, pid: int, row: _Row) -> bool:
        who = (pid, row.began_wall)
        name, _, value = self._run.marker.partition("=")
        if not value or who in self._strangers:
            return False
        with contextlib.suppress(psutil.Error, OSError):
            if row.process.environ().get(name) == value:
                return True
        self._strangers.add(who)
        return False

    def _note_stray(self, row: _Row | None, reading: Reading) -> None:
        if row is None:
            return
        who = (row.process.pid, row.began_wall)
        if row.parent in self._members or row.parent == self._run.shim_pid:
            self._strayed.pop(who, None)
        else:
            self._strayed[who] = reading.cpu_seconds + reading.reaped_seconds


def _child(pid: int, parent: int) -> dict[int, Any]:
    """Give the process while it is the parent's child, which its number alone does not tell."""
    with contextlib.suppress(psutil.Error, OSError):
        process = psutil.Process(pid)
        if process.ppid() == parent:
            return {pid: process}
    return {}


def _session(pid: int) -> int:
    """Give a process's session; 0, which is nobody's, where the system does not tell that of others."""
    try:
        return os.getsid(pid)
    except OSError:
        return 0


def _read(process: Any) -> Reading | None:
    """Give a reading, or None when the process is gone, or not for us to read."""
    try:
        if not process.is_running():
            return None
        with process.oneshot():
            spent = process.cpu_times()
            # macOS and the BSDs do not tell the time of children that were waited for.
            reaped = getattr(spent, "children_user", 0.0) + getattr(spent, "children_system", 0.0)
            resident = process.memory_info().rss
            return Reading(spent.user + spent.system, reaped, resident, process.num_threads(), _io(process))
    except (psutil.Error, OSError):
        return None


def _io(process: Any) -> IoBytes | None:
    # Elsewhere operations are counted, or all that passes through read and write.
    if not psutil.LINUX:
        return None
    try:
        found = process.io_counters()
    except (psutil.Error, OSError):
        return None
    return IoBytes(found.read_bytes, found.write_bytes)


def _facts(process: Any) -> ProcessFacts:
    with process.oneshot():
        arguments = b"\0".join(os.fsencode(one) for one in process.cmdline())
        kept, name = arguments[:_LONGEST_ARGUMENTS], os.fsencode(process.name())
        age = max(0.0, time.time() - process.create_time())
        return ProcessFacts(process.ppid(), kept, len(kept) < len(arguments), name, age)


def _signal(processes: Iterable[Any], verb: str) -> None:
    for process in processes:
        with contextlib.suppress(psutil.Error):
            getattr(process, verb)()
