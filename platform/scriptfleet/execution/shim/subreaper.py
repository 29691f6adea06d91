"""Becoming the parent of orphans below, by the core of ctypes alone: the library around it loads longer than a shim."""

from __future__ import annotations

import sys
from _ctypes import call_function, dlopen, dlsym

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_PR_SET_CHILD_SUBREAPER = 36
#: As ctypes.CDLL takes it: what this process is linked with.
_OWN_PROGRAM: Any = None


def become_subreaper() -> bool:
    """Make orphaned descendants this process's children (Linux 3.4); give whether the kernel did. See prctl(2)."""
    if not sys.platform.startswith("linux"):
        return False
    prctl = dlsym(dlopen(_OWN_PROGRAM), "prctl")
    return bool(call_function(prctl, (_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)) == 0)
