"""cgroup v1: a hierarchy for each controller. Memory, CPU accounting and numbers of processes."""

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

_CONTROLLERS: Final[tuple[str, ...]] = ("memory", "cpuacct", "pids")
_MIB: Final = 1024 * 1024


class Hierarchy1:
    """Groups below this process's own group in each hierarchy."""

    method = "cgroup1"

    def __init__(self, bases: dict[str, str]) -> None:
        """``bases``: our folder by controller, writable."""
        self._bases = bases
        self.why = f"controllers {', '.join(sorted(bases))}"
        self.home = [f"{base}/cgroup.procs" for base in bases.values()]

    def make(self, name: str, limits: Limits) -> "Group1":
        """Make the group of a run in each hierarchy."""
        folders = {controller: f"{base}/{name}" for controller, base in self._bases.items()}
        for folder in folders.values():
            os.mkdir(folder)
        group = Group1(folders, limits, _throttled(self._bases["cpuacct"]))
        try:
            group.limit()
        except OSError:
            group.remove()
            raise
        return group

    def clean_up(self) -> None:
        """Delete groups that bear the number of a process that is no more."""
        for base in self._bases.values():
            remove_leftovers(base)


class Group1:
    """A run's group in several hierarchies."""

    method = "cgroup1"

    def __init__(self, folders: dict[str, str], limits: Limits, throttled_before: float | None) -> None:
        """``throttled_before``: what the group above had been throttled when this one was made, seconds."""
        self._folders, self._limits, self._throttled_before = folders, limits, throttled_before
        self._usage = KeptFile(f"{folders['cpuacct']}/cpuacct.usage")

    def limit(self) -> None:
        """Set the memory limit, of swap as well where the kernel counts it."""
        folder = self._folders.get("memory")
        if folder and self._limits.memory_mb is not None:
            size = str(int(self._limits.memory_mb * _MIB))
            write_text(f"{folder}/memory.limit_in_bytes", size)
            with contextlib.suppress(OSError):
                write_text(f"{folder}/memory.memsw.limit_in_bytes", size)

    def enter(self) -> list[str]:
        """Give the files to enter by."""
        return [f"{folder}/cgroup.procs" for folder in self._folders.values()]

    def after_start(self) -> list[tuple[str, str]]:
        """Give the limit of processes, which must not count the shim."""
        folder = self._folders.get("pids")
        if folder and self._limits.processes is not None:
            return [(f"{folder}/pids.max", str(self._limits.processes))]
        return []

    def cpu_seconds(self) -> float | None:
        """Read the account of CPU time, in nanoseconds there."""
        used = self._usage.number()
        return None if used is None else used / 1e9

    def refusals(self) -> Refusals:
        """Read the counters; ``oom_kill`` came with Linux 4.13."""
        memory, pids = self._folders["memory"], self._folders.get("pids")
        return Refusals(
            oom_kills=field_of(read_text(f"{memory}/memory.oom_control"), "oom_kill") or 0,
            forks=field_of(read_text(f"{pids}/pids.events"), "max") or 0,
        )

    def read(self) -> GroupReading:
        """Read each hierarchy. There is no pressure by group in v1."""
        peak = read_text(f"{self._folders['memory']}/memory.max_usage_in_bytes")
        refused = self.refusals()
        return GroupReading(
            cpu_seconds=self.cpu_seconds(),
            charged_peak_bytes=int(peak) if peak else None,
            oom_kills=refused.oom_kills,
            forks_refused=refused.forks,
            throttled_seconds=self._throttled(),
        )

    def end(self) -> None:
        """Kill what is in it."""
        for folder in self._folders.values():
            kill_members(folder)

    def remove(self) -> None:
        """Delete the group in each hierarchy."""
        self._usage.close()
        for folder in self._folders.values():
            remove_folder(folder)

    def _throttled(self) -> float | None:
        folder = self._folders["cpuacct"]
        own, above = _throttled(folder), _throttled(os.path.dirname(folder))
        return None if own is None else own + (above or 0.0) - (self._throttled_before or 0.0)


def _throttled(folder: str) -> float | None:
    """Give how long a group was throttled, over all cores; known where ``cpu`` is mounted together with ``cpuacct``."""
    nanoseconds = field_of(read_text(f"{folder}/cpu.stat"), "throttled_time")
    return None if nanoseconds is None else nanoseconds / 1e9


def find_version1(proc_cgroup: str, mounts: str) -> Hierarchy1 | str:
    """Give the hierarchy, or why there is none. Arguments: /proc/self/cgroup and /proc/self/mounts as text."""
    own = _own_groups(proc_cgroup)
    points = _mount_points(mounts)
    bases: dict[str, str] = {}
    for controller in _CONTROLLERS:
        if controller in own and controller in points:
            base = f"{points[controller]}{own[controller]}".rstrip("/")
            if os.access(base, os.W_OK):
                bases[controller] = base
    if "memory" not in bases or "cpuacct" not in bases:
        missing = ", ".join(name for name in ("memory", "cpuacct") if name not in bases)
        return f"no writable v1 hierarchy of {missing}"
    return Hierarchy1(bases)


def _own_groups(proc_cgroup: str) -> dict[str, str]:
    groups = {}
    for line in proc_cgroup.splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            groups[controller] = path
    return groups


def _mount_points(mounts: str) -> dict[str, str]:
    points = {}
    for line in mounts.splitlines():
        _, point, kind, options, *_ = line.split()
        if kind == "cgroup":
            for controller in options.split(","):
                points[controller] = point
    return points
