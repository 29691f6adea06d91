"""The ways to account runs, by name, and the quick look that tells whether this machine needs the portable one."""

import os
from enum import StrEnum


class Method(StrEnum):
    """How runs are accounted. ``auto`` takes the best that works."""

    AUTO = "auto"
    CGROUP2 = "cgroup2"
    CGROUP1 = "cgroup1"
    #: The shim's wait4 and readings of /proc.
    RUSAGE = "rusage"
    #: For systems without /proc: wait4 of the script alone, and readings by psutil.
    SAMPLED = "sampled"


def lists_children() -> bool:
    """Tell whether /proc lists the children of a process: Linux 3.5, built with CONFIG_PROC_CHILDREN."""
    return os.path.exists(f"/proc/self/task/{os.getpid()}/children")
