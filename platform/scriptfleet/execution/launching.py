"""Starting a launcher's process, by so little code that a command line does it before it reads its own words."""

from __future__ import annotations

import os
import sys
from _socket import socket, socketpair

from scriptfleet.execution.shim import signals

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Action = tuple[int, ...] | tuple[int, int, str, int, int]

_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_PROGRAM = (
    "import sys; sys.path.append(sys.argv[1]); "
    "from scriptfleet.execution.shim.launcher import main; "
    "main(int(sys.argv[2]), sys.argv[3], sys.argv[4:])"
)
_PROGRAM_FOR_MANY = (
    "import sys; sys.path.append(sys.argv[1]); from scriptfleet.execution.shim.many import main; main(int(sys.argv[2]))"
)
#: The way of what a command line starts; it is known later whether the machine asks for another.
EARLY_WAY = "one"
#: Python ignores them.
_TO_DEFAULT = (signals.SIGPIPE, signals.SIGXFSZ)
#: Of the others some refuse to; there the launcher does it itself.
_STARTING_SESSIONS = ("linux", "darwin")
_FIRST_OWN_DESCRIPTOR = 3


class Started:
    """A launcher's process, and the line to it."""

    def __init__(self, pid: int, line: socket) -> None:
        self.line = line
        self.pid, self._is_over = pid, False

    def is_alive(self) -> bool:
        """Tell whether it is still there."""
        if not self._is_over:
            try:
                self._is_over = os.waitpid(self.pid, os.WNOHANG)[0] != 0
            except ChildProcessError:
                self._is_over = True
        return not self._is_over

    def end(self) -> None:
        """Close the line and wait until the process is gone. Its shims go with lines of their own."""
        self.line.close()
        if not self.is_alive():
            return
        # At the line's end it would go as it stands, but be woken for it first.
        os.kill(self.pid, signals.SIGKILL)
        self._is_over = True
        try:
            os.waitpid(self.pid, 0)
        except ChildProcessError:
            # Who started this process has it hear of no child's end: the wait was one all the same.
            return


def start(
    way: str, inherit_stdio: bool, preload: Sequence[str] | None = None, env: Mapping[str, str] | None = None
) -> Started:
    """Start a launcher, without waiting until it is ready; the ways are those of shim/launcher.py. Raises OSError."""
    ours, theirs = socketpair()
    # Another number than here, so that it is open there, and in nothing that another thread starts meanwhile.
    fd = _FIRST_OWN_DESCRIPTOR + (theirs.fileno() == _FIRST_OWN_DESCRIPTOR)
    actions: list[Action] = [(os.POSIX_SPAWN_DUP2, theirs.fileno(), fd)]
    if not inherit_stdio:
        actions.append((os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0))
    words = [sys.executable, *_options(way, preload), _ROOT, str(fd), way, *(preload or ())]
    try:
        pid = spawned(words, env or {}, actions)
    except OSError:
        ours.close()
        raise
    finally:
        theirs.close()
    return Started(pid, ours)


def spawned(words: list[str], env: Mapping[str, str], actions: Sequence[Action]) -> int:
    """Start a process that leads a session of its own; give its pid. Raises OSError."""
    if sys.platform in _STARTING_SESSIONS:
        try:
            return os.posix_spawn(words[0], words, env, file_actions=actions, setsid=True, setsigdef=_TO_DEFAULT)
        except NotImplementedError:
            # A Python that is built for old systems too does without, also on a new one: the launcher does it itself.
            pass
    return os.posix_spawn(words[0], words, env, file_actions=actions, setsigdef=_TO_DEFAULT)


def preloading(program: str, words: Sequence[str]) -> list[str]:
    """Give the command of an interpreter that has all that a script would have, and imports modules ahead of it."""
    return [sys.executable, "-P", "-c", program, _ROOT, *words]


def _options(way: str, preload: Sequence[str] | None) -> list[str]:
    """Give the interpreter's options: bare and fast, or, to preload, with all that a script would have."""
    if preload is not None:
        return ["-P", "-c", _PROGRAM]
    if way == "many":
        # Without columns of code, for tracebacks alone, what shims use lies closer together.
        return ["-I", "-S", "-X", "no_debug_ranges", "-c", _PROGRAM_FOR_MANY]
    return ["-I", "-S", "-c", _PROGRAM]
