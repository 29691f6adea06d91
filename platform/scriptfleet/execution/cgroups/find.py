"""Which accounting this machine offers: v2, then v1, then none; tried, not guessed."""

import os
from dataclasses import dataclass
from enum import StrEnum

from scriptfleet.domain.limits import Limits
from scriptfleet.errors import EngineFailed
from scriptfleet.execution.cgroups.group import Hierarchy, read_text
from scriptfleet.execution.cgroups.version1 import find_version1
from scriptfleet.execution.cgroups.version2 import find_version2


class Method(StrEnum):
    """How runs are accounted. ``auto`` takes the best that works."""

    AUTO = "auto"
    CGROUP2 = "cgroup2"
    CGROUP1 = "cgroup1"
    #: The shim's wait4 and readings of /proc.
    RUSAGE = "rusage"


@dataclass(frozen=True, slots=True)
class Found:
    """What was chosen, and why not the others."""

    method: Method
    hierarchy: Hierarchy | None
    reasons: tuple[str, ...]


def find_hierarchy(wanted: Method = Method.AUTO) -> Found:
    """Choose. Raises EngineFailed when a method that was asked for by name cannot be had."""
    reasons: list[str] = []
    for method, find in ((Method.CGROUP2, find_version2), (Method.CGROUP1, find_version1)):
        if wanted not in (Method.AUTO, method):
            continue
        found = find(read_text("/proc/self/cgroup") or "", read_text("/proc/self/mounts") or "")
        if not isinstance(found, str):
            trouble = _trial(found)
            if trouble is None:
                found.clean_up()
                return Found(method, found, (*reasons, f"{method}: {found.why}"))
            found = trouble
        reasons.append(f"{method}: {found}")
    if wanted not in (Method.AUTO, Method.RUSAGE):
        raise EngineFailed(f"{wanted} is not to be had on this machine: {'; '.join(reasons)}")
    return Found(Method.RUSAGE, None, (*reasons, "rusage: wait4 and /proc, always there"))


def group_name(run: int) -> str:
    """Give the name of a group: this process's number and the run's, so that leftovers can be told."""
    return f"scriptfleet-{os.getpid()}-{run}"


def _trial(hierarchy: Hierarchy) -> str | None:
    """Make and delete a group; give what went wrong."""
    try:
        group = hierarchy.make(group_name(0), Limits(memory_mb=64))
    except OSError as fault:
        return f"a group cannot be made ({fault.strerror or fault})"
    reading = group.read()
    group.remove()
    return None if reading.cpu_seconds is not None else "CPU time cannot be read"
