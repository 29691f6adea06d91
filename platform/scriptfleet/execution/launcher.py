"""The worker's end of launcher and shims: starts the launcher once, asks it for shims, speaks with each by its line.

The standard library's ``socket`` takes longer to load than what it adds here is worth to a short run.
"""

import sys
import threading
from _socket import MSG_DONTWAIT, MSG_PEEK, SCM_RIGHTS, SHUT_RDWR, SOL_SOCKET, socket, socketpair
from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Any, Final

from scriptfleet.errors import EngineFailed
from scriptfleet.execution import launching
from scriptfleet.execution.shim import wire

_READY_SECONDS: Final = 10.0
#: Until an interpreter has imported what it is to have.
IMPORT_SECONDS: Final = 120.0
_FD_BYTES: Final = 4
#: Python has this much ready as long as it waits, here for as long as a run lasts.
_READ: Final = 4096


class Unkept(EngineFailed):
    """No interpreter can be kept between commands here, or the one that is cannot be reached: a run starts cold."""


class _NeverReady(EngineFailed):
    """A shim that was asked for never said a word."""


class Line:
    """The line to one shim."""

    def __init__(self, end: socket) -> None:
        self._socket, self._inbox = end, wire.Inbox()
        self._waiting: list[dict[str, Any]] = []
        # Reentrant: a signal handler may give an order while this very thread sends another.
        self._sending = threading.RLock()
        #: The shim's process; every process of its run is below it.
        self.shim_pid = 0
        #: How many runs it has served.
        self.runs = 0

    def send(self, message: dict[str, Any]) -> None:
        """Send a message; safe from any thread. Raises EngineFailed when the shim is gone."""
        try:
            with self._sending:
                self._socket.sendall(wire.pack(message))
        except OSError as fault:
            raise EngineFailed(f"the shim {self.shim_pid} is gone ({fault})") from fault

    def receive(self, timeout_seconds: float | None = None) -> dict[str, Any] | None:
        """Give the next message, or None when the shim is gone. Raises EngineFailed when none comes in time."""
        if timeout_seconds is not None:
            self._socket.settimeout(timeout_seconds)
        try:
            while not self._waiting:
                arrived = self._socket.recv(_READ)
                if not arrived:
                    return None
                self._waiting += self._inbox.feed(arrived)
        except TimeoutError as fault:
            raise EngineFailed(f"the shim did not answer within {timeout_seconds:g} s") from fault
        except ConnectionError:
            return None
        finally:
            if timeout_seconds is not None:
                self._socket.settimeout(None)
        return self._waiting.pop(0)

    def has_message(self) -> bool:
        """Tell whether the next message is here already."""
        return bool(self._waiting)

    def is_open(self) -> bool:
        """Tell whether the shim is still there; for a line on which no message is due."""
        try:
            return bool(self._socket.recv(1, MSG_PEEK | MSG_DONTWAIT))
        except BlockingIOError:
            return True
        except ConnectionError:
            return False

    def hang_up(self) -> None:
        """End the talk from another thread than the one that waits for messages: that one gets None."""
        try:
            self._socket.shutdown(SHUT_RDWR)
        except OSError:
            # The shim has hung up first.
            return

    def close(self) -> None:
        """Close the line; the shim ends what it runs, then itself."""
        self._socket.close()


class Launcher:
    """One launcher process, started when the first shim is wanted and again should it have died."""

    def __init__(
        self,
        inherit_stdio: bool = False,
        preload: Sequence[str] | None = None,
        env: Mapping[str, str] | None = None,
        is_portable: bool = False,
        is_for_many: bool = False,
    ) -> None:
        """With ``preload`` its shims run Python scripts in forks of an interpreter that has those modules.

        ``env`` is what they are imported in. With ``is_portable`` they do without what only Linux offers.
        With ``is_for_many`` shims share more of their memory, and the first is ready some 20 ms later.
        """
        self._preload, self._env = preload, dict(env or {})
        self._way = "portable" if is_portable else "many" if is_for_many else "one"
        self._inherit = inherit_stdio
        self._starting = threading.Lock()
        self._process: launching.Started | None = None
        #: The line to a shim that was asked for ahead.
        self._ahead: Line | None = None

    def new_shim(self) -> Line:
        """Have a shim forked and give the line to it. Raises EngineFailed."""
        try:
            return self._new_shim()
        except _NeverReady:
            # A launcher that was killed may take a request with it: the next one is started for the second try.
            return self._new_shim()

    def start_ahead(self, started: launching.Started | None = None) -> None:
        """Start the process and ask it for the first shim, and go on while it loads. Raises EngineFailed.

        One that was ``started`` before this is used where it is of the right way; else it is ended.
        """
        if started is not None and self._way == launching.EARLY_WAY:
            self._process = started
        elif started is not None:
            started.end()
        self._ahead = self._asked()

    def prepare(self) -> None:
        """Go on: what is needed for the first shim is done when that is wanted, in some ms or while modules load."""

    def close(self) -> None:
        """End the launcher; shims end with their own lines."""
        with self._starting:
            ahead, self._ahead = self._ahead, None
            if ahead is not None:
                ahead.close()
            self._stop()

    def _new_shim(self) -> Line:
        with self._starting:
            ahead, self._ahead = self._ahead, None
        line = ahead or self._asked()
        try:
            line.shim_pid = greeted(line, _READY_SECONDS)
        except EngineFailed:
            line.close()
            raise
        return line

    def _asked(self) -> Line:
        """Give the line to a shim that is on its way."""
        ours, theirs = socketpair()
        line = Line(ours)
        try:
            with closing(theirs):
                self._ask(theirs)
        except EngineFailed:
            line.close()
            raise
        return line

    def _ask(self, theirs: socket) -> None:
        fd = theirs.fileno().to_bytes(_FD_BYTES, sys.byteorder)
        with self._starting:
            for is_last in (False, True):
                line = self._process.line if self._process and self._process.is_alive() else self._start()
                try:
                    line.sendmsg([b"s"], [(SOL_SOCKET, SCM_RIGHTS, fd)])
                except OSError as fault:
                    self._stop()
                    if is_last:
                        raise EngineFailed(f"the launcher cannot be reached ({fault})") from fault
                else:
                    return

    def _start(self) -> socket:
        self._stop()
        try:
            self._process = launching.start(self._way, self._inherit, self._preload, self._env)
        except OSError as fault:
            raise EngineFailed(f"the launcher cannot be started ({fault})") from fault
        if self._preload is not None:
            try:
                _await_imports(self._process.line)
            except EngineFailed:
                self._stop()
                raise
        return self._process.line

    def _stop(self) -> None:
        if self._process is not None:
            self._process.end()
            self._process = None


def greeted(line: Line, within_seconds: float) -> int:
    """Wait for a new shim's first word; give its pid. Raises EngineFailed."""
    hello = line.receive(within_seconds)
    if hello is None:
        raise _NeverReady("a shim died before it was ready")
    pid: int = hello["pid"]
    return pid


def _await_imports(line: socket) -> None:
    ready = Line(line).receive(IMPORT_SECONDS)
    trouble = "the interpreter died" if ready is None else ready["trouble"]
    if trouble:
        raise EngineFailed(trouble)
