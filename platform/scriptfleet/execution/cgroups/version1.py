"""cgroup v1: a hierarchy for each controller. Memory, CPU accounting and numbers of processes."""

import contextlib
import os
from pathlib import Path
from typing import Final

from scriptfleet.domain.limits import Limits
from scriptfleet.execution.cgroups.group import GroupReading, field_of, read_text, write_text

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
        group = Group1(folders, limits)
        try:
            group.limit()
        except OSError:
            group.remove()
            raise
        return group

    def clean_up(self) -> None:
        """Delete groups that bear the number of a process that is no more."""
        for base in self._bases.values():
            for folder in Path(base).glob("scriptfleet-*-*"):
                if not Path("/proc", folder.name.split("-")[1]).exists():
                    with contextlib.suppress(OSError):
                        folder.rmdir()


class Group1:
    """A run's group in several hierarchies."""

    method = "cgroup1"

    def __init__(self, folders: dict[str, str], limits: Limits) -> None:
        self._folders, self._limits = folders, limits

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

    def read(self) -> GroupReading:
        """Read each hierarchy."""
        memory, cpu, pids = (self._folders.get(name) for name in _CONTROLLERS)
        used = read_text(f"{cpu}/cpuacct.usage")
        peak = read_text(f"{memory}/memory.max_usage_in_bytes")
        return GroupReading(
            cpu_seconds=int(used) / 1e9 if used else None,
            charged_peak_bytes=int(peak) if peak else None,
            # Counted since Linux 4.13.
            oom_kills=field_of(read_text(f"{memory}/memory.oom_control"), "oom_kill") or 0,
            forks_refused=field_of(read_text(f"{pids}/pids.events"), "max") or 0,
        )

    def remove(self) -> None:
        """Delete the group in each hierarchy."""
        for folder in self._folders.values():
            with contextlib.suppress(OSError):
                os.rmdir(folder)


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
