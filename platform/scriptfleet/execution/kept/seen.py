"""The kept interpreters of a user as they are seen: asked what they are, told to end, killed where they are frozen."""

import os
import signal
from _socket import socket
from collections.abc import Iterator
from typing import Any, Final

from scriptfleet.domain.value import value
from scriptfleet.errors import EngineFailed
from scriptfleet.execution.kept.folder import Folder, is_stopped
from scriptfleet.execution.launcher import Line, Unkept
from scriptfleet.execution.shim.kept_words import ASK, STOP
from scriptfleet.execution.shim.peer import peer_of
from scriptfleet.late_log import late_log

log = late_log("scriptfleet.engine")

#: More are not kept at once: before one more is started the one that was idle longest ends.
MOST_KEPT: Final = 8
_ANSWER_SECONDS: Final = 5.0
_MIB: Final = 1024


@value(frozen=True, slots=True)
class Seen:
    """One kept interpreter."""

    #: Of its socket.
    name: str
    pid: int
    #: What it says of itself (see shim/kept.py); None when it does not answer.
    said: dict[str, Any] | None
    #: Its resident memory, MiB; what it shares with its forks is in it.
    memory_mb: float | None


def seen(folder: Folder) -> Iterator[Seen]:
    """Give those that are there; sockets that nobody listens at any more are removed."""
    for name in folder.names():
        connection = _connected(folder, name)
        if connection is None:
            continue
        pid, _ = peer_of(connection)
        if pid:
            yield Seen(name, pid, _answer(connection, ASK), _memory_mb(pid))
        connection.close()


def stop(folder: Folder, name: str) -> bool:
    """Have one end once nothing runs on it any more; give whether one was there. One that is frozen is killed."""
    connection = _connected(folder, name)
    if connection is None:
        return False
    if _answer(connection, STOP) is None and Line(connection).is_open():
        kill(connection)
        folder.remove(name)
    connection.close()
    return True


def kill(connection: socket) -> None:
    """End who listens at the other end of an open connection, and is frozen; what runs on it goes on."""
    pid, _ = peer_of(connection)
    try:
        handle = os.pidfd_open(pid)
    except OSError:
        # Gone, or not to be seen from here.
        return
    try:
        # Still open, so the process that the handle was taken of was the one that listens.
        if Line(connection).is_open():
            signal.pidfd_send_signal(handle, signal.SIGKILL)
    finally:
        os.close(handle)


def make_room(folder: Folder) -> None:
    """End those that were idle longest until one more may be kept."""
    folder.remove_old()
    idle = [one for one in seen(folder) if one.said is not None and not one.said["running"]]
    idle.sort(key=lambda one: float((one.said or {})["idle_seconds"]), reverse=True)
    for one in idle[: max(0, len(idle) - MOST_KEPT + 1)]:
        stop(folder, one.name)


def _connected(folder: Folder, name: str) -> socket | None:
    try:
        connection = folder.connect(name)
    except Unkept as fault:
        log.warning("%s", fault)
        return None
    if connection is None:
        folder.remove(name)
    return connection


def _answer(connection: socket, word: bytes) -> dict[str, Any] | None:
    if is_stopped(connection):
        return None
    try:
        connection.sendall(word)
        return Line(connection).receive(_ANSWER_SECONDS)
    except (OSError, EngineFailed):
        return None


def _memory_mb(pid: int) -> float | None:
    try:
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
            found = [line.split()[1] for line in file if line.startswith("VmRSS:")]
    except OSError:
        return None
    return int(found[0]) / _MIB if found else None
