"""What the standard library does not offer of Linux: namespaces, mounts, privileges."""

from __future__ import annotations

import ctypes
import os

CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWNET = 0x0002_0000, 0x1000_0000, 0x4000_0000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 1, 2, 4, 32, 4096, 16_384, 1 << 18
_MS_RELATIME = 1 << 21
#: statvfs(3) gives these as mount(2) takes them: read-only, nosuid, nodev, noexec, sync, noatime, nodiratime.
_SAME_FLAGS = 1 | 2 | 4 | 8 | 16 | 1024 | 2048
_ST_RELATIME = 4096
_CAP_SYS_ADMIN = 21
#: Loaded once, by the launcher of many shims: what a shim makes anew is memory of its own.
_LIBC = ctypes.CDLL(None, use_errno=True)
_PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS = 24, 38


def unshare(flags: int) -> None:
    """Leave the namespaces that ``flags`` names for fresh ones. Raises OSError."""
    _check(_libc().unshare(flags), "cannot make namespaces")


def mount(source: str, target: str, kind: str, flags: int, options: str = "") -> None:
    """Mount as mount(2) does. Raises OSError that names the target."""
    texts = [os.fsencode(text) for text in (source, target, kind)]
    given = ctypes.c_char_p(os.fsencode(options))
    _check(_libc().mount(*texts, ctypes.c_ulong(flags), given), f"cannot mount {target}")


def mount_flags(path: str | int) -> int:
    """Give the flags of the mount that a path or descriptor lies on, as a remount must repeat them."""
    found = os.statvfs(path).f_flag
    return (found & _SAME_FLAGS) | (_MS_RELATIME if found & _ST_RELATIME else 0)


def refuse_new_privileges() -> None:
    """Let neither this process nor what it starts gain privileges by an exec (Linux 3.5). Raises OSError."""
    _check(_libc().prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "cannot refuse new privileges")


def give_up_administration() -> None:
    """Keep what this process executes from mounting and from changing namespaces, root or not. Raises OSError."""
    _check(_libc().prctl(_PR_CAPBSET_DROP, _CAP_SYS_ADMIN, 0, 0, 0), "cannot drop CAP_SYS_ADMIN")


def _libc() -> ctypes.CDLL:
    return _LIBC


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
