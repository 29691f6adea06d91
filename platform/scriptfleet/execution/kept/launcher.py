"""A command's end of a kept interpreter: finds it, or starts it, and has it fork shims as a launcher does."""

import sys
from _socket import SCM_RIGHTS, SOL_SOCKET, socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from scriptfleet.domain.value import replace
from scriptfleet.errors import EngineFailed
from scriptfleet.execution.kept.folder import Folder, is_stopped
from scriptfleet.execution.kept.keep import Keep
from scriptfleet.execution.kept.key import import_environment, name_of
from scriptfleet.execution.launcher import IMPORT_SECONDS, Line, Unkept, greeted
from scriptfleet.execution.launching import Started
from scriptfleet.execution.shim.kept_words import RUN
from scriptfleet.execution.shim.peer import peer_of, standing_of_peer
from scriptfleet.execution.shim.posture import standing
from scriptfleet.late_log import late_log

log = late_log("scriptfleet.engine")

_STREAMS: Final = (0, 1, 2)
#: One that has not forked by then is looked at; one that has not by the second moment is frozen.
_PATIENCE_SECONDS: Final = (0.5, 10.0)


class KeptLauncher:
    """Gives shims of one kept interpreter, to one command."""

    def __init__(self, modules: Sequence[str], keep: Keep, is_portable: bool) -> None:
        """``keep`` says where it is; with ``is_portable`` its shims do without what only Linux offers."""
        self._modules = tuple(modules)
        self._keep = replace(keep, env=import_environment(keep.env))
        self._way = "portable" if is_portable else "one"
        #: A connection that was made ahead, on which a shim is on its way; and one that has said its first word.
        self._asked: socket | None = None
        self._ready: Line | None = None
        #: Why there is none, as it was found before the run.
        self._fault: EngineFailed | None = None

    def new_shim(self) -> Line:
        """Have a shim forked and give the line to it.

        Raises Unkept where no interpreter can be kept, EngineFailed when a module cannot be imported.
        """
        if self._fault is not None:
            raise self._fault
        ready, self._ready = self._ready, None
        return ready or self._new_shim()

    def start_ahead(self, started: Started | None = None) -> None:
        """Ask one that is there for a shim, and go on meanwhile; none is started. The ``started`` one is ended."""
        if started is not None:
            started.end()
        try:
            with self._folder() as (folder, name):
                self._asked = _asked(folder, name)
        except Unkept as fault:
            self._fault = fault

    def prepare(self) -> None:
        """Have a shim ready, which may take as long as the import; what is wrong is told at the first run."""
        try:
            self._ready = self.new_shim()
        except EngineFailed as fault:
            self._fault = fault

    def close(self) -> None:
        """Let go of what was not used; the interpreter stays."""
        if self._asked is not None:
            self._asked.close()
        if self._ready is not None:
            self._ready.close()
        self._asked = self._ready = None

    def _new_shim(self) -> Line:
        with self._folder() as (folder, name):
            asked, self._asked = self._asked, None
            line = _answered(asked or _asked(folder, name))
            return line or self._started(folder, name)

    def _started(self, folder: Folder, name: str) -> Line:
        # Loaded by the first command alone.
        from scriptfleet.execution.kept.seen import make_room  # noqa: PLC0415
        from scriptfleet.execution.kept.start import start  # noqa: PLC0415

        with folder.locked(name, IMPORT_SECONDS):
            # Another command may have started it meanwhile.
            line = _answered(_asked(folder, name))
            if line is None:
                make_room(folder)
                start(folder, name, self._way, self._modules, self._keep)
                line = _answered(_asked(folder, name))
        if line is None:
            raise Unkept("the interpreter that was started to be kept forks nothing")
        return line

    @contextmanager
    def _folder(self) -> Iterator[tuple[Folder, str]]:
        if self._keep.obstacle:
            raise Unkept(self._keep.obstacle)
        if sys.platform != "linux":
            raise Unkept("interpreters are kept between commands on Linux alone")
        folder = Folder(self._keep.home)
        try:
            yield folder, name_of(self._modules, self._keep.env, self._way)
        except OSError as fault:
            raise Unkept(f"no interpreter can be kept: {fault}") from fault
        finally:
            folder.close()


def _asked(folder: Folder, name: str) -> socket | None:
    """Ask for a shim with this process's own standard streams; give the line to it, None where nobody listens."""
    connection = folder.connect(name)
    if connection is None:
        return None
    if not _is_alike(connection):
        # A script that was set apart may have put a socket of its own there. The next one takes its place.
        connection.close()
        return None
    streams = b"".join(fd.to_bytes(4, sys.byteorder) for fd in _STREAMS)
    try:
        connection.sendmsg([RUN], [(SOL_SOCKET, SCM_RIGHTS, streams)])
    except OSError:
        connection.close()
        return None
    return connection


def _is_alike(connection: socket) -> bool:
    try:
        return standing_of_peer(connection) == standing()
    except OSError:
        # Gone, or in another container.
        return False


def _answered(connection: socket | None) -> Line | None:
    """Wait for the shim's first word; None where the interpreter is gone, going, or frozen, which is ended."""
    if connection is None:
        return None
    line = Line(connection)
    for seconds in _PATIENCE_SECONDS:
        try:
            line.shim_pid = greeted(line, seconds)
        except EngineFailed:
            if not line.is_open() or is_stopped(connection):
                break
        else:
            return line
    _end_frozen(line, connection)
    return None


def _end_frozen(line: Line, connection: socket) -> None:
    if line.is_open():
        from scriptfleet.execution.kept.seen import kill  # noqa: PLC0415

        log.warning("kept_interpreter_ended pid=%d reason=it did not answer", peer_of(connection)[0])
        kill(connection)
    line.close()
