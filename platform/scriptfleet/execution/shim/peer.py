"""Who is at the other end of a connection between a command and an interpreter that is kept."""

from __future__ import annotations

import os
import sys
from _socket import SOL_SOCKET, socket

from scriptfleet.execution.shim.posture import standing

#: Of Linux, which alone has them (asm-generic/socket.h).
_SO_PEERCRED, _SO_PEERPIDFD = 17, 77
#: Of struct ucred, see unix(7): pid, uid, gid.
_FIELD_BYTES, _FIELDS = 4, 3


def peer_of(connection: socket) -> tuple[int, int]:
    """Give process and user of who connected, or listens; the process is 0 where it is outside of our namespace."""
    said = connection.getsockopt(SOL_SOCKET, _SO_PEERCRED, _FIELDS * _FIELD_BYTES)
    pid, user = (int.from_bytes(said[at : at + _FIELD_BYTES], sys.byteorder) for at in (0, _FIELD_BYTES))
    return pid, user


def standing_of_peer(connection: socket) -> bytes:
    """Give what the process at the other end may do (see posture.py). Raises OSError where it has gone."""
    # Linux's alone, as all that is done here.
    from signal import pidfd_send_signal  # noqa: PLC0415

    pid, _ = peer_of(connection)
    handle = _handle(connection, pid)
    try:
        found = standing(pid)
        # Still there: what was read is not another's who has its number now.
        pidfd_send_signal(handle, 0)
    finally:
        os.close(handle)
    return found


def _handle(connection: socket, pid: int) -> int:
    """Give a descriptor of the process itself: from Linux 6.5 on of who connected, before of who has its number now."""
    try:
        handle = connection.getsockopt(SOL_SOCKET, _SO_PEERPIDFD)
    except OSError:
        return os.pidfd_open(pid)
    os.set_inheritable(handle, False)
    return handle
