"""cgroup v2: one hierarchy for all controllers (Linux 4.5 and later)."""

import contextlib
import os
from pathlib import Path
from typing import Final

from scriptfleet.domain.limits import Limits
from scriptfleet.execution.cgroups.group import GroupReading, field_of, read_text, write_text

_NEEDED: Final = ("cpu", "memory", "pids")
_MIB: Final = 1024 * 1024
_PRESSURES: Final = ("cpu", "memory", "io")


class Hierarchy2:
    """Groups below a folder whose controllers are switched on for its children."""

    method = "cgroup2"

    def __init__(self, base: str, home: str) -> None:
        self._base = base
        self.why = f"below {base}"
        self.home = [f"{home}/cgroup.procs"]

    def make(self, name: str, limits: Limits) -> "Group2":
        """Make the group of a run."""
        folder = f"{self._base}/{name}"
        os.mkdir(folder)
        group = Group2(folder, limits)
        try:
            group.limit()
        except OSError:
            group.remove()
            raise
        return group

    def clean_up(self) -> None:
        """Delete groups that bear the number of a process that is no more."""
        for folder in Path(self._base).glob("scriptfleet-*-*"):
            if not Path("/proc", folder.name.split("-")[1]).exists():
                with contextlib.suppress(OSError):
                    folder.rmdir()


class Group2:
    """A run's group."""

    method = "cgroup2"

    def __init__(self, folder: str, limits: Limits) -> None:
        self._folder, self._limits = folder, limits

    def limit(self) -> None:
        """Set the memory limit; what is over it is not swapped but ends."""
        if self._limits.memory_mb is not None:
            write_text(f"{self._folder}/memory.max", str(int(self._limits.memory_mb * _MIB)))
            with contextlib.suppress(OSError):
                write_text(f"{self._folder}/memory.swap.max", "0")

    def enter(self) -> list[str]:
        """Give the file to enter by."""
        return [f"{self._folder}/cgroup.procs"]

    def after_start(self) -> list[tuple[str, str]]:
        """Give the limit of processes, which must not count the shim."""
        if self._limits.processes is None:
            return []
        return [(f"{self._folder}/pids.max", str(self._limits.processes))]

    def read(self) -> GroupReading:
        """Read the group's files. ``memory.peak`` came with Linux 5.19."""
        cpu = read_text(f"{self._folder}/cpu.stat")
        used, throttled = field_of(cpu, "usage_usec"), field_of(cpu, "throttled_usec")
        peak = read_text(f"{self._folder}/memory.peak")
        return GroupReading(
            cpu_seconds=None if used is None else used / 1e6,
            charged_peak_bytes=int(peak) if peak else None,
            oom_kills=field_of(read_text(f"{self._folder}/memory.events"), "oom_kill") or 0,
            forks_refused=field_of(read_text(f"{self._folder}/pids.events"), "max") or 0,
            throttled_seconds=None if throttled is None else throttled / 1e6,
            stalled_seconds=tuple(self._stalls()),
        )

    def remove(self) -> None:
        """Delete the group."""
        with contextlib.suppress(OSError):
            os.rmdir(self._folder)

    def _stalls(self) -> list[tuple[str, float]]:
        found = []
        for kind in _PRESSURES:
            text = read_text(f"{self._folder}/{kind}.pressure") or ""
            # some avg10=0.00 avg60=0.00 avg300=0.00 total=12345   (microseconds)
            for line in text.splitlines():
                if line.startswith("some ") and "total=" in line:
                    found.append((kind, int(line.rpartition("total=")[2]) / 1e6))
        return found


def find_version2(proc_cgroup: str, mounts: str) -> Hierarchy2 | str:
    """Give the hierarchy, or why there is none. Arguments: /proc/self/cgroup and /proc/self/mounts as text."""
    point = next((line.split()[1] for line in mounts.splitlines() if line.split()[2] == "cgroup2"), None)
    own = next((line[3:] for line in proc_cgroup.splitlines() if line.startswith("0::")), None)
    if point is None or own is None:
        return "no v2 hierarchy is mounted"
    base = f"{point}{own}".rstrip("/")
    missing = [name for name in _NEEDED if name not in (read_text(f"{base}/cgroup.controllers") or "").split()]
    if missing:
        return f"the v2 hierarchy at {base} lacks the controllers {', '.join(missing)}"
    return _opened(base)


def _opened(base: str) -> Hierarchy2 | str:
    """Switch the controllers on for children. A group with processes may not have such children, except the root:
    this process first moves itself into a leaf of its own."""
    home = base
    try:
        if not _is_switched_on(base):
            home = leaf = f"{base}/scriptfleet-self"
            os.makedirs(leaf, exist_ok=True)
            for pid in (read_text(f"{base}/cgroup.procs") or "").split():
                with contextlib.suppress(OSError):
                    write_text(f"{leaf}/cgroup.procs", pid)
            write_text(f"{base}/cgroup.subtree_control", " ".join(f"+{name}" for name in _NEEDED))
    except OSError as fault:
        return f"the v2 hierarchy at {base} is not ours to divide ({fault.strerror}): delegate it to this user"
    return Hierarchy2(base, home)


def _is_switched_on(base: str) -> bool:
    return set(_NEEDED) <= set((read_text(f"{base}/cgroup.subtree_control") or "").split())
