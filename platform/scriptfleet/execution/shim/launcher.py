"""The launcher: single-threaded, small, the parent of all shims of one worker.

Started as ``python -I -S -c "…" <fd>`` by execution/launching.py. On its line come descriptors, one for each shim
wanted; it forks a shim for each. It ends when the line closes.
"""

from __future__ import annotations

import gc
import os
import select
import sys
from _socket import AF_UNIX, CMSG_LEN, SCM_RIGHTS, SOCK_STREAM, SOL_SOCKET, socket

from scriptfleet.execution.shim import signals, tree, wire
from scriptfleet.execution.shim.ends import ends_below
from scriptfleet.execution.shim.slot import Slot
from scriptfleet.execution.shim.subreaper import become_subreaper

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn

    from scriptfleet.execution.shim.ends import Ends

_FD_BYTES = 4
_STANDARD_DESCRIPTORS = (0, 1, 2)


def main(line_fd: int, way: str, modules: Sequence[str] = ()) -> NoReturn:
    """Serve until the worker closes the line; with modules, or when not started bare, import those first.

    The ``way`` is "one", "many" for rehearsed shims that share more of their memory and come some 20 ms later, or
    "portable": then neither it nor its shims take in orphans, which only Linux offers.
    """
    is_portable = way == "portable"
    line = socket(AF_UNIX, SOCK_STREAM, 0, line_fd)
    os.set_inheritable(line_fd, False)
    close_others({line_fd})
    lead_session()
    os.chdir("/")
    if not is_portable:
        become_subreaper()
    ignore_terminal_signals()
    if not sys.flags.isolated:
        _import_and_tell(line, modules)
    ends = ends_of_children(is_portable)
    if way == "many":
        _rehearse(ends)
    wake_read = wake_on_child()
    shims: set[int] = set()
    poller = select.poll()
    poller.register(line_fd, select.POLLIN)
    poller.register(wake_read, select.POLLIN)
    while True:
        ready = {fd for fd, _ in poller.poll()}
        if wake_read in ready:
            os.read(wake_read, 4096)
            reap(shims)
        if line_fd in ready:
            fd = _next_descriptor(line)
            if fd is None:
                # The interpreter's own way out takes some ms, and tidies nothing that would not go by itself.
                os._exit(0)
            shims.add(_fork_shim(fd, line, ends, is_portable))


def close_others(kept: set[int]) -> None:
    """Close what whoever started the worker left open: it is neither ours nor the scripts'."""
    try:
        there = {int(name) for name in os.listdir("/dev/fd")}
    except OSError:
        there = set(range(os.sysconf("SC_OPEN_MAX")))
    for fd in there - {*_STANDARD_DESCRIPTORS, *kept}:
        try:
            os.close(fd)
        except OSError:
            # The listing's own, closed by now.
            continue


def lead_session() -> None:
    """Leave the session, and so the terminal, of who started this process."""
    # Done already where the system starts processes so.
    if os.getsid(0) != os.getpid():
        os.setsid()


def _import_and_tell(line: socket, modules: Sequence[str]) -> None:
    # Only a warm launcher pays for this import.
    from scriptfleet.execution.shim import warm  # noqa: PLC0415

    line.sendall(wire.pack({"event": "imported", "trouble": warm.preload(modules)}))


def _fork_shim(fd: int, line: socket, ends: Ends, is_portable: bool) -> int:
    pid = os.fork()
    if pid == 0:
        _be_shim(fd, line, ends, is_portable)
    os.close(fd)
    return pid


def _be_shim(fd: int, line: socket, ends: Ends, is_portable: bool) -> NoReturn:
    code = 1
    try:
        line.close()
        # A script that kills its parent's process group must not reach the launcher or other shims.
        os.setsid()
        os.set_inheritable(fd, False)
        Slot(socket(AF_UNIX, SOCK_STREAM, 0, fd), ends, is_portable).serve()
        code = 0
    finally:
        os._exit(code)


def reap(shims: set[int]) -> None:
    """Collect shims that ended. When one died by violence its run comes to us, and is ended here."""
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            break
        shims.discard(pid)
    for orphan in set(tree.children_of(os.getpid())) - shims:
        tree.kill_with_tree(orphan)


def _next_descriptor(line: socket) -> int | None:
    message, ancillary, _, _ = line.recvmsg(1, CMSG_LEN(_FD_BYTES))
    if not message:
        return None
    for level, kind, data in ancillary:
        if level == SOL_SOCKET and kind == SCM_RIGHTS:
            return int.from_bytes(data[:_FD_BYTES], sys.byteorder)
    raise ValueError("a request for a shim came without its descriptor")


def _rehearse(ends: Ends) -> None:
    # A launcher for one run does without.
    from scriptfleet.execution.shim.rehearsal import rehearse  # noqa: PLC0415

    rehearse(ends)
    # To look for garbage among what shims share would be to write to all of it.
    gc.freeze()


def ends_of_children(is_portable: bool) -> Ends:
    """Give what tells shims, which are forked from here, of their ends."""
    # A Python-level handler, which shims inherit, is what makes the kernel's signal write to the wake-up pipe.
    signals.signal(signals.SIGCHLD, lambda *_: None)
    # Who started the worker, or a module that was preloaded, may have blocked it.
    signals.pthread_sigmask(signals.SIG_UNBLOCK, (signals.SIGCHLD,))
    return ends_below(is_portable)


def wake_on_child() -> int:
    """Give a descriptor that can be read once a child of this process has ended."""
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    signals.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
    return wake_read


def ignore_terminal_signals() -> None:
    """Leave Ctrl-C to the worker or the command line, which decide; the line's end tells this process."""
    signals.signal(signals.SIGINT, signals.SIG_IGN)
    signals.signal(signals.SIGQUIT, signals.SIG_IGN)
