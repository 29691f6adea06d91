"""How a shim hears of ends: by a descriptor, to be polled beside others, that is ready once a child has ended."""

from __future__ import annotations

import os
import sys
from _ctypes import call_function, dlopen, dlsym

from scriptfleet.execution.shim import signals

#: Of signalfd(2)'s one record.
_SIGNAL_BYTES = 128
_MOST_WAKE_UPS = 4096
#: Of a sigset_t, of which the kernel reads the first.
_SET_BYTES = 128
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    class Ends(Protocol):
        """Made by the launcher, told of ends in each shim between ``begin`` and ``end``."""

        fd: int

        def begin(self) -> None:
            """Hear of the ends below this process from now on."""

        def heard(self) -> None:
            """Take what was told, so that the next end is told anew."""

        def end(self) -> None:
            """Hear of no more."""


#: As ctypes.CDLL takes it: what this process is linked with.
_OWN_PROGRAM: Any = None


class SignalFile:
    """SIGCHLD as Linux hands it out by a file: it interrupts nothing.

    Each process reads its own signals from it: one that the launcher made serves all shims, and none has to make it.
    """

    def __init__(self) -> None:
        """Raises OSError where there is no such file."""
        self.fd = _signal_file(signals.SIGCHLD)

    def begin(self) -> None:
        """Block the signal: what is delivered never comes by the file."""
        signals.pthread_sigmask(signals.SIG_BLOCK, (signals.SIGCHLD,))

    def heard(self) -> None:
        """Take one signal, which stands for all ends before it."""
        try:
            os.read(self.fd, _SIGNAL_BYTES)
        except BlockingIOError:
            # There is but one of a kind at a time.
            return

    def end(self) -> None:
        """Let the signal come as it does without a file."""
        signals.pthread_sigmask(signals.SIG_UNBLOCK, (signals.SIGCHLD,))


class WakeUps:
    """A pipe that the handler of SIGCHLD writes to; the handler is the launcher's, as it was at the fork."""

    fd = -1

    def begin(self) -> None:
        """Make the pipe, for this process alone."""
        self.fd, self._write_fd = os.pipe()
        os.set_blocking(self.fd, False)
        os.set_blocking(self._write_fd, False)
        signals.set_wakeup_fd(self._write_fd, warn_on_full_buffer=False)

    def heard(self) -> None:
        """Empty the pipe. Its end that signals write to never closes; what is left over is read the next time."""
        os.read(self.fd, _MOST_WAKE_UPS)

    def end(self) -> None:
        """Have signals write nowhere."""
        signals.set_wakeup_fd(-1)
        os.close(self.fd)
        os.close(self._write_fd)


def ends_below(is_portable: bool) -> Ends:
    """Give what tells of ends here."""
    try:
        return WakeUps() if is_portable else SignalFile()
    except OSError:
        # A sandbox may have left it out of its kernel.
        return WakeUps()


def _signal_file(signum: int) -> int:
    """Give a descriptor, see signalfd(2), from which a process reads this signal of its own. Raises OSError.

    By the core of ctypes alone: the library around it loads longer than a shim.
    """
    asked = (1 << signum - 1).to_bytes(8, sys.byteorder).ljust(_SET_BYTES, b"\0")
    signalfd = dlsym(dlopen(_OWN_PROGRAM), "signalfd")
    fd: int = call_function(signalfd, (-1, asked, os.O_NONBLOCK | os.O_CLOEXEC))
    if fd < 0:
        raise OSError("there is no file of signals here")
    return fd
