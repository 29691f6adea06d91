"""cgroup v2: one hierarchy for all controllers (Linux 4.5 and later)."""

import contextlib
import os
from typing import Final

from scriptfleet.domain.limits import Limits
from scriptfleet.execution.cgroups.group import (
    GroupReading,
    Refusals,
    field_of,
    kill_members,
    read_text,
    remove_folder,
    remove_leftovers,
    write_text,
)
from scriptfleet.execution.cgroups.kept_file import KeptFile

_NEEDED: Final = ("cpu", "memory", "pids")
_MIB: Final = 1024 * 1024
_PRESSURES: Final = ("cpu", "memory", "io")
#: The leaf into which processes are moved out of a group that is to be divided.
_LEAF: Final = "scriptfleet-self"


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
        group = Group2(folder, limits, _throttled(self._base))
        try:
            group.limit()
        except OSError:
            group.remove()
            raise
        return group

    def clean_up(self) -> None:
        """Delete groups that bear the number of a process that is no more."""
        remove_leftovers(self._base)


class Group2:
    """A run's group."""

    method = "cgroup2"

    def __init__(self, folder: str, limits: Limits, throttled_before: float | None) -> None:
        """``throttled_before``: what the group above had been throttled when this one was made, seconds."""
        self._folder, self._limits, self._throttled_before = folder, limits, throttled_before
        self._cpu = KeptFile(f"{folder}/cpu.stat")

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

    def cpu_seconds(self) -> float | None:
        """Read the account of CPU time, in microseconds there."""
        used = field_of(self._cpu.read().decode("ascii"), "usage_usec")
        return None if used is None else used / 1e6

    def refusals(self) -> Refusals:
        """Read the counters."""
        return Refusals(
            oom_kills=field_of(read_text(f"{self._folder}/memory.events"), "oom_kill") or 0,
            forks=field_of(read_text(f"{self._folder}/pids.events"), "max") or 0,
        )

    def read(self) -> GroupReading:
        """Read the group's files. ``memory.peak`` came with Linux 5.19."""
        peak = read_text(f"{self._folder}/memory.peak")
        refused = self.refusals()
        return GroupReading(
            cpu_seconds=self.cpu_seconds(),
            charged_peak_bytes=int(peak) if peak else None,
            oom_kills=refused.oom_kills,
            forks_refused=refused.forks,
            throttled_seconds=self._throttled(),
            stalled_seconds=tuple(self._stalls()),
        )

    def end(self) -> None:
        """Kill what is in it."""
        kill_members(self._folder)

    def remove(self) -> None:
        """Delete the group."""
        self._cpu.close()
        remove_folder(self._folder)

    def _throttled(self) -> float | None:
        """Give its own throttling and, since it was made, that of the group above, as the one of a container."""
        own, above = _throttled(self._folder), _throttled(os.path.dirname(self._folder))
        return None if own is None else own + (above or 0.0) - (self._throttled_before or 0.0)

    def _stalls(self) -> list[tuple[str, float]]:
        found = []
        for kind in _PRESSURES:
            text = read_text(f"{self._folder}/{kind}.pressure") or ""
            # some avg10=0.00 avg60=0.00 avg300=0.00 total=12345   (microseconds)
            for line in text.splitlines():
                if line.startswith("some ") and "total=" in line:
                    found.append((kind, int(line.rpartition("total=")[2]) / 1e6))
        return found


def _throttled(folder: str) -> float | None:
    """Give how long a group was throttled by its quota, over all cores, seconds."""
    microseconds = field_of(read_text(f"{folder}/cpu.stat"), "throttled_usec")
    return None if microseconds is None else microseconds / 1e6


def find_version2(proc_cgroup: str, mounts: str) -> Hierarchy2 | str:
    """Give the hierarchy, or why there is none. Arguments: /proc/self/cgroup and /proc/self/mounts as text."""
    point = next((line.split()[1] for line in mounts.splitlines() if line.split()[2] == "cgroup2"), None)
    own = next((line[3:] for line in proc_cgroup.splitlines() if line.startswith("0::")), None)
    if point is None or own is None:
        return "no v2 hierarchy is mounted"
    home = f"{point}{own}".rstrip("/")
    # In the leaf is who was started by, or beside, an engine that has divided the group above already.
    base = home.removesuffix(f"/{_LEAF}")
    missing = [name for name in _NEEDED if name not in (read_text(f"{base}/cgroup.controllers") or "").split()]
    if missing:
        return f"the v2 hierarchy at {base} lacks the controllers {', '.join(missing)}"
    return _opened(base, home)


def _opened(base: str, home: str) -> Hierarchy2 | str:
    """Switch the controllers on for children; our own process is in ``home``."""
    try:
        home = _home_now(base, home) if _is_switched_on(base) else _divide(base, home)
    except OSError as fault:
        return f"the v2 hierarchy at {base} is not ours to divide ({fault.strerror}): delegate it to this user"
    return Hierarchy2(base, home)


def _divide(base: str, home: str) -> str:
    """Give children the controllers, and where this process is then: a group with processes may not have such
    children, except the machine's root, so elsewhere all of them move into a leaf first."""
    wanted = " ".join(f"+{name}" for name in _NEEDED)
    try:
        write_text(f"{base}/cgroup.subtree_control", wanted)
    except OSError:
        home = f"{base}/{_LEAF}"
        os.makedirs(home, exist_ok=True)
        for pid in (read_text(f"{base}/cgroup.procs") or "").split():
            with contextlib.suppress(OSError):
                write_text(f"{home}/cgroup.procs", pid)
        write_text(f"{base}/cgroup.subtree_control", wanted)
    return home


def _home_now(base: str, home: str) -> str:
    """Give where this process is: another engine may have moved it into the leaf since its group was read."""
    leaf = f"{base}/{_LEAF}"
    return leaf if str(os.getpid()) in (read_text(f"{leaf}/cgroup.procs") or "").split() else home


def _is_switched_on(base: str) -> bool:
    return set(_NEEDED) <= set((read_text(f"{base}/cgroup.subtree_control") or "").split())
