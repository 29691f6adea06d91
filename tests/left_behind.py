"""What a process and the supervisors below it hold: taken before and after runs, it tells what these left behind."""

import os
import threading
from dataclasses import dataclass
from pathlib import Path

from scriptfleet.execution.shim.tree import descendants_of

CGROUPS = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Holdings:
    """Of this process and all below it."""

    #: Open descriptors by pid.
    descriptors: dict[int, int]
    threads: int
    zombies: list[int]
    #: Control groups of this process's runs.
    groups: list[str]


def holdings() -> Holdings:
    """Take stock now. The descriptor that lists a folder of descriptors counts too, always."""
    below = descendants_of(os.getpid())
    zombies = [pid for pid in below if state_of(pid) == "Z"]
    descriptors = {pid: _descriptors(pid) for pid in (os.getpid(), *below) if pid not in zombies}
    return Holdings(descriptors, threading.active_count(), zombies, groups_of(os.getpid()))


def state_of(pid: int) -> str:
    """Give a process's state, such as R, S or Z; empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rsplit(")", 1)[1].split()[0]
    except OSError:
        return ""


def groups_of(pid: int) -> list[str]:
    """Give the control groups of runs of an engine in this process."""
    return sorted(str(folder) for folder in CGROUPS.glob(f"**/scriptfleet-{pid}-*"))


def resident_kb(pid: int, field: str = "VmRSS") -> int:
    """Give a size from /proc/<pid>/status, KiB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:"))


def _descriptors(pid: int) -> int:
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return 0
