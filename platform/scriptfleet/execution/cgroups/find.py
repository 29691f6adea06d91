"""Which accounting this machine offers: control groups v2, then v1, then none; tried, not guessed."""

import importlib.util
from typing import Final, NamedTuple

from scriptfleet.domain.limits import Limits
from scriptfleet.errors import EngineFailed
from scriptfleet.execution.cgroups.group import Hierarchy, group_name, read_text
from scriptfleet.execution.cgroups.method import Method, lists_children
from scriptfleet.execution.cgroups.version1 import find_version1
from scriptfleet.execution.cgroups.version2 import find_version2

_WITHOUT_GROUPS: Final = {
    Method.RUSAGE: "wait4 and /proc, always there",
    Method.SAMPLED: "wait4 of the script alone and readings by psutil: what daemonises is a lower bound",
}


class Found(NamedTuple):
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
    for method, trouble_of in ((Method.RUSAGE, _rusage_trouble), (Method.SAMPLED, _sampled_trouble)):
        if wanted not in (Method.AUTO, method):
            continue
        why_not = trouble_of()
        if why_not is None:
            return Found(method, None, (*reasons, f"{method}: {_WITHOUT_GROUPS[method]}"))
        reasons.append(f"{method}: {why_not}")
    raise EngineFailed(f"{wanted} is not to be had on this machine: {'; '.join(reasons)}")


def _rusage_trouble() -> str | None:
    return None if lists_children() else "/proc does not list children here"


def _sampled_trouble() -> str | None:
    if importlib.util.find_spec("psutil") is not None:
        return None
    return "psutil is not installed: pip install psutil"


def _trial(hierarchy: Hierarchy) -> str | None:
    """Make and delete a group; give what went wrong."""
    try:
        group = hierarchy.make(group_name(0), Limits(memory_mb=64))
    except OSError as fault:
        return f"a group cannot be made ({fault.strerror or fault})"
    reading = group.read()
    group.remove()
    return None if reading.cpu_seconds is not None else "CPU time cannot be read"
