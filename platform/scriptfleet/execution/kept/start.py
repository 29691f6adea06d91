"""Starting an interpreter that is kept, and waiting until it has imported its modules."""

import os
from _socket import socketpair
from collections.abc import Sequence
from typing import Any, Final

from scriptfleet.errors import EngineFailed
from scriptfleet.execution import launching
from scriptfleet.execution.kept.folder import Folder
from scriptfleet.execution.kept.keep import Keep
from scriptfleet.execution.launcher import IMPORT_SECONDS, Line, Unkept
from scriptfleet.execution.shim.tree import kill_with_tree

_PROGRAM: Final = (
    "import sys; sys.path.append(sys.argv[1]); "
    "from scriptfleet.execution.shim.kept import main; "
    "main(int(sys.argv[2]), int(sys.argv[3]), sys.argv[4], sys.argv[5], float(sys.argv[6]), sys.argv[7:])"
)
#: A person at a terminal is told what is waited for.
_LONG_SECONDS: Final = 2.0
_FIRST_OWN_DESCRIPTOR: Final = 3


def start(folder: Folder, name: str, way: str, modules: Sequence[str], keep: Keep) -> None:
    """Start one and wait until it listens.

    Raises Unkept when it cannot be started, EngineFailed when a module cannot be imported.
    """
    started = _started(folder, name, way, modules, keep)
    try:
        _await(Line(started.line), modules, keep)
    except BaseException:
        # Also when a person will not wait; with it goes what an import has started.
        kill_with_tree(started.pid)
        started.end()
        raise
    started.line.close()


def _started(folder: Folder, name: str, way: str, modules: Sequence[str], keep: Keep) -> launching.Started:
    ours, theirs = socketpair()
    taken = {theirs.fileno(), folder.fd}
    # Other numbers than here: a descriptor that is copied onto itself would be closed.
    line_fd, folder_fd = [fd for fd in range(_FIRST_OWN_DESCRIPTOR, _FIRST_OWN_DESCRIPTOR + 4) if fd not in taken][:2]
    actions: list[launching.Action] = [
        (os.POSIX_SPAWN_DUP2, theirs.fileno(), line_fd),
        (os.POSIX_SPAWN_DUP2, folder.fd, folder_fd),
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDWR, 0),
        # What a module writes while it is imported is for people, and no part of a script's output.
        (os.POSIX_SPAWN_DUP2, 2, 1),
    ]
    words = [str(line_fd), str(folder_fd), way, name, str(keep.idle_seconds), *modules]
    try:
        pid = launching.spawned(launching.preloading(_PROGRAM, words), keep.env, actions)
    except OSError as fault:
        ours.close()
        raise Unkept(f"no interpreter can be started to be kept ({fault})") from fault
    finally:
        theirs.close()
    return launching.Started(pid, ours)


def _await(line: Line, modules: Sequence[str], keep: Keep) -> None:
    what = ", ".join(modules) or "nothing"
    try:
        ready = line.receive(_LONG_SECONDS)
    except EngineFailed:
        keep.tell(f"importing {what} into an interpreter that stays for later runs …")
        ready = _last_word(line, what)
    if ready is None:
        raise EngineFailed(f"cannot preload {what}: the interpreter died")
    if ready["trouble"]:
        raise EngineFailed(ready["trouble"])
    if ready["obstacle"]:
        raise Unkept(f"no interpreter can be kept: {ready['obstacle']}")


def _last_word(line: Line, what: str) -> dict[str, Any] | None:
    try:
        return line.receive(IMPORT_SECONDS)
    except EngineFailed as fault:
        raise EngineFailed(f"cannot preload {what}: not imported within {IMPORT_SECONDS:g} s") from fault
