"""The folder of a user's kept interpreters: nobody else's, not reached by a link, held open by a descriptor.

All that is done in it is done by that descriptor: what was looked at is what is used, whatever becomes of the path, and
addresses of sockets stay below the 108 bytes that the kernel takes.
"""

import fcntl
import os
import stat
import threading
import time
from _socket import AF_UNIX, SOCK_STREAM, socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from scriptfleet.execution.launcher import Unkept
from scriptfleet.execution.shim.peer import peer_of

#: Of a socket's name; other files are locks, or sockets on their way.
NAME_LENGTH: Final = 32
#: Of what tells starts of machines apart: machines may share a home.
_MARK_LENGTH: Final = 8
#: As SCRIPTFLEET_WARM_IDLE_SECONDS at most.
_LONGEST_SECONDS: Final = 7 * 86_400
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_CONNECT_SECONDS: Final = 1.0
_LOOK_SECONDS: Final = 0.02


class Folder:
    """One folder, open."""

    #: Within the home.
    NAME: Final = "warm"

    def __init__(self, home: Path) -> None:
        """Open the one in ``home``, made where there is none. Raises Unkept where it cannot be trusted."""
        self.path = home / self.NAME
        try:
            home.mkdir(parents=True, exist_ok=True)
            self._make()
            self.fd = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError as fault:
            raise Unkept(f"no folder for kept interpreters: {self.path}: {fault.strerror}") from fault
        found = os.fstat(self.fd)
        trouble = _trouble(found)
        if trouble:
            os.close(self.fd)
            raise Unkept(f"the folder of kept interpreters cannot be trusted: {self.path}: {trouble}")

    def close(self) -> None:
        """Close it."""
        os.close(self.fd)

    def names(self) -> list[str]:
        """Give the names of all interpreters in it, of which some may be gone."""
        mark = boot_mark()
        with os.scandir(self.fd) as entries:
            found = [entry.name for entry in entries if len(entry.name) == NAME_LENGTH]
        return sorted(name for name in found if name.startswith(mark))

    def remove_old(self) -> None:
        """Remove sockets of other starts of this machine, or other machines, that are older than any stays unused."""
        mark, oldest = boot_mark(), time.time() - _LONGEST_SECONDS
        with os.scandir(self.fd) as entries:
            for entry in entries:
                is_other = len(entry.name) >= NAME_LENGTH and not entry.name.startswith(mark)
                if is_other and entry.stat(follow_symlinks=False).st_mtime < oldest:
                    self.remove(entry.name)

    def connect(self, name: str) -> socket | None:
        """Connect to the interpreter of this name; None where there is none. Raises Unkept where it is not ours."""
        connection = socket(AF_UNIX, SOCK_STREAM)
        connection.settimeout(_CONNECT_SECONDS)
        try:
            is_socket = stat.S_ISSOCK(os.stat(name, dir_fd=self.fd, follow_symlinks=False).st_mode)
            if is_socket:
                connection.connect(f"/proc/self/fd/{self.fd}/{name}")
        except OSError:
            # None there, one that has died, or one that takes nothing any more.
            is_socket = False
        if not is_socket:
            connection.close()
            return None
        _, user = peer_of(connection)
        if user != os.geteuid():
            connection.close()
            raise Unkept(f"the socket of a kept interpreter is another user's: {self.path / name}: remove it")
        connection.settimeout(None)
        return connection

    def remove(self, name: str) -> None:
        """Remove a socket that nobody listens at."""
        try:
            os.unlink(name, dir_fd=self.fd)
        except OSError:
            # Gone by itself; or no permission, and then it stays.
            return

    @contextmanager
    def locked(self, name: str, within_seconds: float) -> Iterator[None]:
        """Be the only one who starts an interpreter of this name. Raises Unkept when others take longer."""
        # One file for many names: files of locks cannot be removed without a race.
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
        try:
            fd = os.open(f"lock-{name[-1:]}", flags, 0o600, dir_fd=self.fd)
        except OSError as fault:
            raise Unkept(f"no lock in {self.path}: {fault.strerror}") from fault
        try:
            _lock(fd, within_seconds)
            yield
        finally:
            os.close(fd)

    def _make(self) -> None:
        try:
            self.path.mkdir(mode=0o700)
        except FileExistsError:
            return


def boot_mark() -> str:
    """Give what names begin with here and now: another machine's, or those from before its start, are not reached."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read(_MARK_LENGTH)


def is_stopped(connection: socket) -> bool:
    """Tell whether who listens is stopped by a signal, and so answers nothing however long one waits."""
    pid, _ = peer_of(connection)
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0] in (b"T", b"t")
    except OSError:
        return False


def _trouble(found: os.stat_result) -> str:
    if found.st_uid != os.geteuid():
        return f"it belongs to user {found.st_uid}: remove it, or set SCRIPTFLEET_HOME to a folder of your own"
    if found.st_mode & _OTHERS:
        return f"others may enter it (mode {stat.S_IMODE(found.st_mode):o}): chmod 700"
    return ""


def _lock(fd: int, within_seconds: float) -> None:
    deadline = time.monotonic() + within_seconds
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise Unkept(f"another command has been starting an interpreter for {within_seconds:g} s") from None
            threading.Event().wait(_LOOK_SECONDS)
        else:
            return
