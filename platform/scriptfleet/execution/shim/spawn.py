"""Starting the script's process: in its own session, with its own descriptors, limits and folder."""

from __future__ import annotations

import os
import resource
import sys
from _socket import AF_UNIX, CMSG_LEN, SCM_RIGHTS, SOCK_SEQPACKET, SOCK_STREAM, SOL_SOCKET, socket, socketpair

from scriptfleet.execution.shim import signals

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any, NoReturn

    from scriptfleet.execution.shim.bubble import Bubble
    from scriptfleet.execution.shim.first_line import FirstLine

#: Python ignores the first two, the launcher the others; a script expects the defaults.
_TO_DEFAULT = (signals.SIGPIPE, signals.SIGXFSZ, signals.SIGINT, signals.SIGQUIT)

_LIMITS = {
    "cpu_seconds": resource.RLIMIT_CPU,
    "open_files": resource.RLIMIT_NOFILE,
    "file_size_bytes": resource.RLIMIT_FSIZE,
}
_IS_LINUX = sys.platform == "linux"
#: glibc looks at each signal that it is not told of, and sets it to its default all the same unless it is ignored.
#: Told of, each is one call to the kernel and not two.
#: The library's own signals have no handler that could be asked for, not even the default.
_SPAWN_TO_DEFAULT: tuple[int, ...] = (
    *_TO_DEFAULT,
    *(n for n in range(1, signals.NSIG) if _IS_LINUX and signals.getsignal(n) not in (None, signals.SIG_IGN)),
)
#: Of the others some cannot start a process in a session of its own but by a fork, and say so only when it is tried.
_CAN_SPAWN = _IS_LINUX or sys.platform == "darwin"
#: macOS has no messages on local sockets; there one thing alone is ever said, and the end of the stream ends it.
_MESSAGES = SOCK_SEQPACKET if _IS_LINUX else SOCK_STREAM
_FD_BYTES = 4
_LONGEST_TROUBLE = 8192


def spawn(
    request: Mapping[str, Any], stdout_fd: int, stderr_fd: int, first_line: FirstLine | None = None
) -> tuple[int, int | None]:
    """Start ``request``'s argv with env in cwd; give its pid, and a descriptor of its own network's counters if any.

    A warm script notes when it comes to its ``first_line``. Raises OSError as exec did. Without limits and isolation by
    posix_spawn, which shares memory until the exec and takes half the time of a fork.
    """
    limits = _rlimits(request["limits"])
    if limits or request["is_warm"] or request["isolation"] or not _CAN_SPAWN:
        return _fork(request, stdout_fd, stderr_fd, limits, first_line)
    os.chdir(request["cwd"])
    try:
        pid = os.posix_spawn(
            request["argv"][0],
            request["argv"],
            request["env"],
            file_actions=_file_actions(request["stdin"], stdout_fd, stderr_fd),
            setsid=True,
            setsigmask=[],
            setsigdef=_SPAWN_TO_DEFAULT,
        )
    except NotImplementedError:
        # A Python that is built for old systems too starts no sessions so.
        return _fork(request, stdout_fd, stderr_fd, limits)
    finally:
        os.chdir("/")
    return pid, None


def _file_actions(stdin: str, stdout_fd: int, stderr_fd: int) -> list[tuple[int, ...] | tuple[int, int, str, int, int]]:
    actions: list[tuple[int, ...] | tuple[int, int, str, int, int]] = []
    if stdin == "null":
        actions.append((os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0))
    actions.append((os.POSIX_SPAWN_DUP2, stdout_fd, 1))
    actions.append((os.POSIX_SPAWN_DUP2, stderr_fd, 2))
    return actions


def _rlimits(limits: Mapping[str, float]) -> list[tuple[int, tuple[int, int]]]:
    return [(kind, _soft_and_hard(kind, limits[name])) for name, kind in _LIMITS.items() if name in limits]


def _soft_and_hard(kind: int, wanted: float) -> tuple[int, int]:
    soft = max(1, -int(-wanted // 1))
    # The kernel sends XCPU at the soft limit and KILL at the hard one: a second lets the script see the first.
    hard = soft + 1 if kind == resource.RLIMIT_CPU else soft
    ceiling = resource.getrlimit(kind)[1]
    if ceiling != resource.RLIM_INFINITY:
        soft, hard = min(soft, ceiling), min(hard, ceiling)
    return soft, hard


def _fork(
    request: Mapping[str, Any],
    stdout_fd: int,
    stderr_fd: int,
    limits: Sequence[tuple[int, tuple[int, int]]],
    first_line: FirstLine | None = None,
) -> tuple[int, int | None]:
    bubble = _prepared(request["isolation"])
    told, telling = socketpair(AF_UNIX, _MESSAGES)
    pid = os.fork()
    if pid == 0:
        _become(request, stdout_fd, stderr_fd, limits, telling, bubble, first_line)
    telling.close()
    trouble, counters = _hear(told)
    told.close()
    if bubble is not None:
        counters = bubble.enter()
    if trouble:
        os.waitpid(pid, 0)
        if counters is not None:
            os.close(counters)
        number, _, reason = trouble.partition(" ")
        raise OSError(int(number), reason)
    return pid, counters


def _prepared(wish: Mapping[str, Any] | None) -> Bubble | None:
    """Load what sets a run apart, which few runs are, before the fork: in there it may be out of sight."""
    if not wish:
        return None
    from scriptfleet.execution.shim import isolate  # noqa: F401, PLC0415
    from scriptfleet.execution.shim.bubble import Bubble  # noqa: PLC0415

    return Bubble() if wish["bubble"] else None


def _hear(told: socket) -> tuple[str, int | None]:
    """Listen to the fork until it executes: what went wrong, and the counters of its own network."""
    counters = None
    while True:
        message, ancillary, _, _ = told.recvmsg(_LONGEST_TROUBLE, CMSG_LEN(_FD_BYTES))
        for level, kind, data in ancillary:
            if level == SOL_SOCKET and kind == SCM_RIGHTS:
                counters = int.from_bytes(data[:_FD_BYTES], sys.byteorder)
                os.set_inheritable(counters, False)
        if not ancillary:
            return message.decode("utf-8", "replace"), counters


def _become(
    request: Mapping[str, Any],
    stdout_fd: int,
    stderr_fd: int,
    limits: Sequence[tuple[int, tuple[int, int]]],
    telling: socket,
    bubble: Bubble | None,
    first_line: FirstLine | None,
) -> NoReturn:
    """Turn this fork into the script; never returns, whatever happens."""
    try:
        os.setsid()
        # What somebody above blocked is no affair of the script's.
        signals.pthread_sigmask(signals.SIG_SETMASK, ())
        if request["stdin"] == "null":
            os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
        os.dup2(stdout_fd, 1)
        os.dup2(stderr_fd, 2)
        if request["isolation"]:
            _isolate(request["isolation"], telling)
        _enter(request["cwd"])
        for kind, values in limits:
            resource.setrlimit(kind, values)
        if request["is_warm"]:
            _run_warm(request, telling, first_line)
        _default_signals()
        argv = bubble.command(request["argv"]) if bubble else request["argv"]
        os.execve(argv[0], argv, request["env"])  # noqa: S606
    except OSError as fault:
        telling.send(f"{fault.errno or 1} {fault.strerror or fault}".encode()[:_LONGEST_TROUBLE])
    finally:
        os._exit(127)


def _isolate(wish: Mapping[str, Any], telling: socket) -> None:
    from scriptfleet.execution.shim.isolate import isolate  # noqa: PLC0415

    counters = isolate(wish)
    if counters is not None:
        telling.sendmsg([b"n"], [(SOL_SOCKET, SCM_RIGHTS, counters.to_bytes(_FD_BYTES, sys.byteorder))])


def _enter(folder: str) -> None:
    try:
        os.chdir(folder)
    except OSError as fault:
        raise OSError(fault.errno, f"cannot enter {folder}: {fault.strerror}") from fault


def _run_warm(request: Mapping[str, Any], telling: socket, first_line: FirstLine | None) -> NoReturn:
    # Loaded already: the launcher of a warm shim imported it before it forked.
    from scriptfleet.execution.shim import warm  # noqa: PLC0415

    # The script must not find descriptors of its shim: the line, the pipes. Those of an exec close by themselves.
    telling.close()
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    warm.run_script(request["argv"], request["env"], first_line)


def _default_signals() -> None:
    for signum in _TO_DEFAULT:
        signals.signal(signum, signals.SIG_DFL)
