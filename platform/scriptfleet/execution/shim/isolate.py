"""Setting a run apart: done in the fork that becomes the script, before it executes. All is decided by the worker.

Nothing here may import on the way, as looking up a codec does: the interpreter's files may be out of sight by then.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import sys
from _socket import AF_INET, SOCK_DGRAM, socket

from scriptfleet.execution.shim import kernel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

_SIOCSIFFLAGS, _IFF_UP_RUNNING = 0x8914, 0x41
#: A mount that cannot be looked up by its path lies hidden under another one: the run cannot reach it either.
_HIDDEN = (errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.EINVAL)


def isolate(wish: Mapping[str, Any]) -> int | None:
    """Carry out ``wish``; give a descriptor of the new network's counters, or None without one.

    Raises OSError whose text names the step that failed.
    """
    _leave_namespaces(wish)
    _mount_all(wish["mounts"])
    counters = _new_network() if wish["network"] else None
    if (wish["mounts"] or wish["network"]) and not wish["user_namespace"]:
        # A script that stays root, or finds a setuid program, would otherwise just undo it.
        kernel.give_up_administration()
    if wish["identity"] is not None:
        _become_user(*wish["identity"])
    if wish["no_new_privileges"]:
        kernel.refuse_new_privileges()
    return counters


def network_bytes(counters: int) -> tuple[int, int]:
    """Give bytes received and sent by all interfaces but loopback: of a network whose processes may be gone by now."""
    received = sent = 0
    for line in os.pread(counters, 1 << 20, 0).decode().splitlines()[2:]:
        name, _, fields = line.partition(":")
        if name.strip() != "lo":
            numbers = fields.split()
            received, sent = received + int(numbers[0]), sent + int(numbers[8])
    return received, sent


def _leave_namespaces(wish: Mapping[str, Any]) -> None:
    flags = (kernel.CLONE_NEWNS if wish["mounts"] else 0) | (kernel.CLONE_NEWNET if wish["network"] else 0)
    if not flags:
        return
    if not wish["user_namespace"]:
        kernel.unshare(flags)
        return
    uid, gid = os.geteuid(), os.getegid()
    kernel.unshare(flags | kernel.CLONE_NEWUSER)
    # A group may be mapped without privileges only once setgroups is given up (Linux 3.19).
    for name, content in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
        with open(f"/proc/self/{name}", "wb") as file:
            file.write(content.encode())


def _mount_all(steps: Sequence[tuple[str, str, str]]) -> None:
    if not steps:
        return
    kernel.mount("none", "/", "", kernel.MS_REC | kernel.MS_PRIVATE)
    # Held before anything is covered, and only since the namespace is ours: what another one mounted cannot be bound.
    held = {path: os.open(path, os.O_PATH | os.O_CLOEXEC) for kind, path, _ in steps if kind == "keep"}
    flags = {path: kernel.mount_flags(fd) for path, fd in held.items()}
    for kind, path, options in steps:
        if kind == "cover":
            kernel.mount("tmpfs", path, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, options)
        elif kind == "keep":
            _keep(path, held[path], flags[path])
        else:
            _make_read_only(path)
    for fd in held.values():
        os.close(fd)


def _keep(path: str, fd: int, flags: int) -> None:
    """Show again, as it was, what lies below a covered or read-only path."""
    _make_place(path, is_folder=stat.S_ISDIR(os.fstat(fd).st_mode))
    kernel.mount(f"/proc/self/fd/{fd}", path, "", kernel.MS_BIND | kernel.MS_REC)
    kernel.mount("none", path, "", kernel.MS_BIND | kernel.MS_REMOUNT | flags)


def _make_place(path: str, is_folder: bool) -> None:
    if os.path.exists(path):
        return
    os.makedirs(path if is_folder else os.path.dirname(path), mode=0o755, exist_ok=True)
    if not is_folder:
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))


def _make_read_only(path: str) -> None:
    if path != "/":
        # A bind over the root would not be seen: paths start at the root that was.
        kernel.mount(path, path, "", kernel.MS_BIND | kernel.MS_REC)
    _remount_read_only(path)
    below = "/" if path == "/" else f"{path}/"
    for point in _mount_points():
        if point.startswith(below) and point != path:
            try:
                _remount_read_only(point)
            except OSError as fault:
                if fault.errno not in _HIDDEN:
                    raise


def _remount_read_only(path: str) -> None:
    # A remount of a bind concerns that one mount, and drops the flags that are not repeated.
    flags = kernel.MS_BIND | kernel.MS_REMOUNT | kernel.MS_RDONLY
    kernel.mount("none", path, "", flags | kernel.mount_flags(path))


def _mount_points() -> list[str]:
    with open("/proc/self/mountinfo", "rb") as listing:
        fields = [line.split()[4] for line in listing]
    return [os.fsdecode(_plain(field)) for field in fields]


def _plain(field: bytes) -> bytes:
    """Read a path in which the kernel wrote space, tab, newline and backslash in octal."""
    first, *others = field.split(b"\\")
    return first + b"".join(bytes([int(other[:3], 8)]) + other[3:] for other in others)


def _new_network() -> int:
    """Raise loopback, and give a descriptor that keeps the network's counters readable after its last process."""
    ends = socket(AF_INET, SOCK_DGRAM, 0)
    try:
        request = b"lo".ljust(16, b"\0") + _IFF_UP_RUNNING.to_bytes(2, sys.byteorder) + bytes(22)
        fcntl.ioctl(ends.fileno(), _SIOCSIFFLAGS, request)
    finally:
        ends.close()
    return os.open("/proc/self/net/dev", os.O_RDONLY | os.O_CLOEXEC)


def _become_user(uid: int, gid: int, groups: Sequence[int]) -> None:
    os.setgroups(groups)
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
