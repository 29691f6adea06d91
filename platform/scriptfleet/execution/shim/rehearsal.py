"""A rehearsal: the launcher serves a few runs itself before it forks shims that are to serve many.

What Python makes of its own at first runs (specialised bytecode, caches, memory to be used again) is then made once and
shared by all shims. Otherwise each would make it anew, in memory of its own: 0.3 MiB a shim.
"""

from __future__ import annotations

import os
from _socket import socketpair

from scriptfleet.execution.shim import wire
from scriptfleet.execution.shim.slot import Slot

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from scriptfleet.execution.shim.ends import Ends

_PROGRAMS = ("/bin/true", "/usr/bin/true")
#: Python 3.11 specialises what was called eight times.
_TIMES = 10
_READ = 65_536


def rehearse(ends: Ends) -> None:
    """Run a program that does nothing, some times over. Only for a process that has no children yet."""
    ours, theirs = socketpair()
    slot = Slot(theirs, ends)
    for _ in range(_TIMES):
        ours.sendall(wire.pack(_request()))
        slot.serve_waiting()
        ours.recv(_READ)
    slot.close()
    ours.close()
    theirs.close()


def _request() -> dict[str, Any]:
    # It writes nothing, so these are never made.
    nowhere = "/nonexistent/scriptfleet"
    return {
        "op": "run",
        "argv": [next((path for path in _PROGRAMS if os.access(path, os.X_OK)), _PROGRAMS[0])],
        "env": {},
        "cwd": "/",
        "stdout": f"{nowhere}/stdout",
        "stderr": f"{nowhere}/stderr",
        "cap_bytes": 4096,
        "masks": [],
        "timeout": 1.0,
        "grace": 0.0,
        "lease_until": None,
        "echo": False,
        "stdin": "null",
        "is_warm": False,
        "isolation": None,
        "limits": {},
        "enter": [],
        "home": [],
        "after_start": [],
    }
