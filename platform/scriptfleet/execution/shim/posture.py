"""What a process may do, and what it hands down to those that it forks, as the kernel tells it.

Two processes that agree in the one may trust each other, as nothing is gained by it: a script that was set apart from
its machine and one that was not have the same user. Two that agree in the other fork alike: what differs in it between
a command and an interpreter that is kept would be wrong in the script, such as limits, niceness, file mode mask, CPUs.
"""

from __future__ import annotations

import os
from _ctypes import call_function, dlopen, dlsym

from scriptfleet.execution.shim import signals

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_MAY = {
    "Uid",
    "Gid",
    "Groups",
    "NoNewPrivs",
    "Seccomp",
    "Seccomp_filters",
    "CapInh",
    "CapPrm",
    "CapEff",
    "CapBnd",
    "CapAmb",
}
_HANDED_DOWN = {"Umask", "SigIgn", "Cpus_allowed", "Mems_allowed", "THP_enabled", "Speculation_Store_Bypass"}
_FILES_MAY = ("cgroup", "attr/current")
_FILES_HANDED_DOWN = ("limits", "oom_score_adj", "loginuid", "personality", "coredump_filter")
_NAMESPACES = ("cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts")
#: Of these a script has the default in any case; an interpreter sets them as it needs them.
_OWN = sum(
    1 << number - 1 for number in (signals.SIGINT, signals.SIGQUIT, signals.SIGPIPE, signals.SIGXFSZ, signals.SIGCHLD)
)
#: ioprio_get(2), which the C library has no function for, by machine.
_IOPRIO_GET = {"x86_64": 252, "aarch64": 31, "riscv64": 31}
_OF_PROCESS = 1
#: An address and a policy, such as bind:0-3.
_FIRST_LINE_BYTES = 128
#: As ctypes.CDLL takes it: what this process is linked with.
_OWN_PROGRAM: Any = None


def standing(pid: int | str = "self") -> bytes:
    """Give what a process may do: its user and groups, capabilities, filters, label, control group, namespaces, root.

    Raises OSError where there is no such process, or no /proc.
    """
    root = os.stat(f"/proc/{pid}/root")
    facts = [
        *_of_status(pid, _MAY),
        *(_content(f"/proc/{pid}/{name}") for name in _FILES_MAY),
        *(_target(f"/proc/{pid}/ns/{name}") for name in _NAMESPACES),
        b"%d %d" % (root.st_dev, root.st_ino),
    ]
    return b"\0".join(facts)


def posture() -> bytes:
    """Give that of this process, and what it hands down. Raises OSError where there is no /proc."""
    facts = [
        standing(),
        *_of_status("self", _HANDED_DOWN),
        *(_content(f"/proc/self/{name}") for name in _FILES_HANDED_DOWN),
        _memory_policy(),
        *(b"%d" % fact for fact in _scheduling()),
    ]
    return b"\0".join(facts)


def _of_status(pid: int | str, names: set[str]) -> list[bytes]:
    found = []
    with open(f"/proc/{pid}/status", "rb") as status:
        for line in status:
            name, _, value = line.partition(b":")
            if name.decode() in names:
                found.append(b"%x" % (int(value, 16) & ~_OWN) if name == b"SigIgn" else value.strip())
    return found


def _content(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        # Older kernels, and those built without it, have none; then it is none on both sides.
        return b""


def _target(path: str) -> bytes:
    try:
        return os.readlink(path).encode()
    except OSError:
        # As above.
        return b""


def _memory_policy() -> bytes:
    """Give on which nodes memory is taken: that of the process stands at each mapping that has none of its own."""
    try:
        with open("/proc/self/numa_maps", "rb", buffering=0) as file:
            return file.read(_FIRST_LINE_BYTES).split()[1]
    except (OSError, IndexError):
        # A kernel without such nodes.
        return b""


def _scheduling() -> tuple[int, ...]:
    policy = os.sched_getscheduler(0)
    return os.getpriority(os.PRIO_PROCESS, 0), policy, os.sched_getparam(0).sched_priority, _io_priority()


def _io_priority() -> int:
    number = _IOPRIO_GET.get(os.uname().machine)
    if number is None:
        return -1
    asked: int = call_function(dlsym(dlopen(_OWN_PROGRAM), "syscall"), (number, _OF_PROCESS, 0))
    return asked
