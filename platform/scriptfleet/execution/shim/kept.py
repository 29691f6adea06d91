"""A warm interpreter that stays between commands of one user, and forks a shim for each that asks.

Started as ``python -P -c "…"`` by execution/kept/start.py. It imports what it is to have, listens on a socket in its
user's own folder, and tells who started it. Each connection says one word: ``run``, with the three standard streams of
its command beside it, and is then the line to a shim; ``ask``; or ``stop``. It ends by itself: after some time without
runs, after many of them, and once a fork of it would not be what a fresh interpreter would be.
"""

import array
import contextlib
import os
import select
import sys
import time
from _socket import (
    AF_UNIX,
    CMSG_LEN,
    MSG_CTRUNC,
    MSG_DONTWAIT,
    SCM_RIGHTS,
    SOCK_STREAM,
    SOL_SOCKET,
    socket,
)
from _thread import _count
from collections.abc import Sequence
from typing import Final, NoReturn

from scriptfleet.execution.shim import launcher, tree, warm, wire
from scriptfleet.execution.shim.kept_words import ASK, RUN, STOP
from scriptfleet.execution.shim.loaded import Loaded
from scriptfleet.execution.shim.peer import peer_of, standing_of_peer
from scriptfleet.execution.shim.posture import posture, standing
from scriptfleet.execution.shim.slot import Slot
from scriptfleet.execution.shim.subreaper import become_subreaper

_STREAMS: Final = 3
_FD_BYTES: Final = 4
_BACKLOG: Final = 64
#: More connections that have not said their word are not waited for, and none for so long.
_MOST_SILENT: Final = 32
_SILENT_SECONDS: Final = 2.0
#: What scripts leave in memory shared with it does not add up, since none runs in it; what forking leaves might.
_MOST_RUNS: Final = 1000
#: How often it is looked whether the socket is still there, at most.
_LOOK_SECONDS: Final = 10.0


def main(line_fd: int, folder_fd: int, way: str, name: str, idle_seconds: float, modules: Sequence[str]) -> NoReturn:
    """Import, tell by the line, and serve; ``name`` is that of the socket in the folder.

    The ``way`` is "one", or "portable" as in launcher.py.
    """
    is_portable = way == "portable"
    line = socket(AF_UNIX, SOCK_STREAM, 0, line_fd)
    _settle({line_fd, folder_fd}, is_portable)
    try:
        _check_place(folder_fd, name)
        if trouble := warm.preload(modules):
            _give_up(line, trouble=trouble)
        if obstacle := _left_running():
            _give_up(line, obstacle=obstacle)
        _fall_silent()
        kept = Kept(folder_fd, name, idle_seconds, modules, is_portable)
    except OSError as fault:
        _give_up(line, obstacle=str(fault))
    # Where who started it is gone, the next one finds it.
    with contextlib.suppress(OSError):
        _tell(line)
    line.close()
    kept.serve()


def _settle(own: set[int], is_portable: bool) -> None:
    """Keep nothing of who started this but the descriptors that are its own."""
    for fd in own:
        os.set_inheritable(fd, False)
    launcher.close_others(own)
    launcher.lead_session()
    os.chdir("/")
    if not is_portable:
        become_subreaper()
    launcher.ignore_terminal_signals()


def _left_running() -> str:
    """Tell what goes on beside this thread after an import, or nothing."""
    # One that has ended and was not waited for does nothing.
    processes = [pid for pid in tree.children_of(os.getpid()) if os.waitpid(pid, os.WNOHANG)[0] == 0]
    counts = {"threads": _count(), "processes": len(processes)}
    left = " and ".join(f"{what} that go on: {count}" for what, count in counts.items() if count)
    return left and f"the imports left {left}, which a fork is without: leave what starts them out of --preload"


def _give_up(line: socket, trouble: str = "", obstacle: str = "") -> NoReturn:
    """Tell why nothing is kept, and end with all that an import has started."""
    # Who is told ends this process at once.
    tree.kill_tree(os.getpid())
    try:
        _tell(line, trouble, obstacle)
    finally:
        os._exit(1)


def _tell(line: socket, trouble: str = "", obstacle: str = "") -> None:
    """Tell who started this that it is ready, or what of its modules is wrong, or what keeps it from listening."""
    line.sendall(wire.pack({"event": "imported", "trouble": trouble, "obstacle": obstacle}))


def _check_place(folder_fd: int, name: str) -> None:
    """Raise OSError where no socket can be made, as in some shared folders: better known before a long import."""
    tried = f"{name}.{os.getpid()}"
    with contextlib.closing(socket(AF_UNIX, SOCK_STREAM)) as probe:
        probe.bind(f"/proc/self/fd/{folder_fd}/{tried}")
    os.unlink(tried, dir_fd=folder_fd)


def _fall_silent() -> None:
    """Let go of the streams of who started this, which modules may have written to while they were imported."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    for fd in (1, 2):
        os.dup2(0, fd)


class Kept:
    """Serves connections until it is of no more use."""

    def __init__(
        self, folder_fd: int, name: str, idle_seconds: float, modules: Sequence[str], is_portable: bool
    ) -> None:
        """Take the place of whatever listens under the name."""
        self._folder_fd, self._name, self._modules = folder_fd, name, tuple(modules)
        self._idle_seconds, self._is_portable = idle_seconds, is_portable
        self._ends = launcher.ends_of_children(is_portable)
        self._wake_fd = launcher.wake_on_child()
        self._loaded, self._posture = Loaded(), posture()
        self._shims: set[int] = set()
        #: Connections that have not said their word, and until when that is waited for.
        self._silent: dict[int, tuple[socket, float]] = {}
        self._runs, self._since_wall = 0, time.time()
        self._used_at = self._looked_at = time.monotonic()
        self._poller = select.poll()
        self._poller.register(self._wake_fd, select.POLLIN)
        self._listener: socket | None = self._listen()

    def serve(self) -> NoReturn:
        """Serve until its end."""
        while self._listener is not None or self._shims:
            ready = {fd for fd, _ in self._poller.poll(self._milliseconds_to_next())}
            if self._wake_fd in ready:
                os.read(self._wake_fd, 4096)
                launcher.reap(self._shims)
                self._used_at = time.monotonic()
            if self._listener is not None and self._listener.fileno() in ready:
                self._accept(self._listener)
            for fd in ready & set(self._silent):
                self._hear(fd)
            self._look(time.monotonic())
        os._exit(0)

    def _listen(self) -> socket:
        listener = socket(AF_UNIX, SOCK_STREAM)
        fresh = f"{self._name}.{os.getpid()}"
        # Before it has a name: who may write to it may ask for runs.
        os.fchmod(listener.fileno(), 0o600)
        # The folder's descriptor is the folder that was looked at, and keeps the address below its 108 bytes.
        listener.bind(f"/proc/self/fd/{self._folder_fd}/{fresh}")
        listener.listen(_BACKLOG)
        listener.setblocking(False)
        self._inode = os.stat(fresh, dir_fd=self._folder_fd).st_ino
        os.rename(fresh, self._name, src_dir_fd=self._folder_fd, dst_dir_fd=self._folder_fd)
        self._poller.register(listener.fileno(), select.POLLIN)
        return listener

    def _milliseconds_to_next(self) -> float:
        if self._silent:
            return _SILENT_SECONDS * 1000
        return min(_LOOK_SECONDS, self._idle_seconds / 10) * 1000 + 1

    def _accept(self, listener: socket) -> None:
        try:
            fd, _ = listener._accept()  # type: ignore[attr-defined]
        except BlockingIOError:
            return
        except OSError:
            # No descriptor is left for it, so there is none for a script's streams either.
            self._retire()
            return
        connection = socket(AF_UNIX, SOCK_STREAM, 0, fd)
        if peer_of(connection)[1] != os.geteuid():
            connection.close()
            return
        if len(self._silent) >= _MOST_SILENT:
            self._forget(next(iter(self._silent)))
        self._silent[fd] = connection, time.monotonic() + _SILENT_SECONDS
        self._poller.register(fd, select.POLLIN)

    def _forget(self, fd: int) -> None:
        self._poller.unregister(fd)
        self._silent.pop(fd)[0].close()

    def _hear(self, fd: int) -> None:
        self._poller.unregister(fd)
        connection, _ = self._silent.pop(fd)
        try:
            word, streams = _word(connection)
            self._obey(word, connection, streams)
        except OSError:
            # It has hung up, or there is no room for one more process: it finds the line closed.
            pass
        finally:
            connection.close()

    def _obey(self, word: bytes, connection: socket, streams: Sequence[int]) -> None:
        try:
            if word == RUN and len(streams) == _STREAMS and standing_of_peer(connection) == standing():
                self._run(connection, streams)
            elif word in (ASK, STOP):
                connection.sendall(wire.pack(self._about()))
                if word == STOP:
                    self._retire()
        finally:
            for fd in streams:
                os.close(fd)

    def _about(self) -> dict[str, object]:
        return {
            "pid": os.getpid(),
            "interpreter": sys.executable,
            "version": ".".join(map(str, sys.version_info[:3])),
            "modules": list(self._modules),
            "since": self._since_wall,
            "idle_seconds": time.monotonic() - self._used_at,
            "runs": self._runs,
            "running": len(self._shims),
        }

    def _run(self, connection: socket, streams: Sequence[int]) -> None:
        """Fork a shim for a command; one that asks what is no longer true finds the line closed, and nobody there."""
        if not self._is_there() or posture() != self._posture or not self._loaded.is_unchanged():
            self._retire()
            return
        pid = os.fork()
        if pid == 0:
            self._be_shim(connection, streams)
        self._shims.add(pid)
        self._runs += 1
        self._used_at = time.monotonic()
        if self._runs >= _MOST_RUNS:
            self._retire()

    def _be_shim(self, connection: socket, streams: Sequence[int]) -> NoReturn:
        code = 1
        try:
            for other, _ in self._silent.values():
                other.close()
            if self._listener is not None:
                self._listener.close()
            os.close(self._folder_fd)
            os.setsid()
            for number, fd in enumerate(streams):
                os.dup2(fd, number)
                os.close(fd)
            connection.setblocking(True)
            Slot(connection, self._ends, self._is_portable).serve()
            code = 0
        finally:
            os._exit(code)

    def _look(self, now: float) -> None:
        for fd in [fd for fd, (_, until) in self._silent.items() if now >= until]:
            self._forget(fd)
        if self._listener is None:
            return
        if not self._shims and now - self._used_at >= self._idle_seconds:
            self._retire()
        elif now - self._looked_at >= min(_LOOK_SECONDS, self._idle_seconds / 10):
            self._looked_at = now
            if not self._is_there():
                self._retire()

    def _is_there(self) -> bool:
        """Tell whether the socket under the name is still this one's."""
        try:
            return os.stat(self._name, dir_fd=self._folder_fd, follow_symlinks=False).st_ino == self._inode
        except OSError:
            return False

    def _retire(self) -> None:
        """Take no more; what runs goes on, and this process ends after it."""
        if self._listener is None:
            return
        self._poller.unregister(self._listener.fileno())
        if self._is_there():
            os.unlink(self._name, dir_fd=self._folder_fd)
        self._listener.close()
        self._listener = None


def _word(connection: socket) -> tuple[bytes, list[int]]:
    """Take what a connection says, and the descriptors beside it. Raises OSError."""
    word, ancillary, flags, _ = connection.recvmsg(len(RUN), CMSG_LEN(_STREAMS * _FD_BYTES), MSG_DONTWAIT)
    found: list[int] = []
    for level, kind, data in ancillary:
        if level == SOL_SOCKET and kind == SCM_RIGHTS:
            found += array.array("i", data[: len(data) - len(data) % _FD_BYTES])
    for fd in found:
        os.set_inheritable(fd, False)
    return (b"" if flags & MSG_CTRUNC else word), found
