"""A run inside bubblewrap: the way to namespaces where this user may make none but that program may."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_PID_KEY = b'"child-pid":'


class Bubble:
    """Holds the program back inside until its network's counters have been opened: it may be over in a moment."""

    def __init__(self) -> None:
        self._info, self._telling = os.pipe()
        self._waiting, self._go = os.pipe()

    def command(self, argv: Sequence[str]) -> list[str]:
        """Give the command that holds the program back; called in the fork that executes it."""
        for fd in (self._telling, self._waiting):
            os.set_inheritable(fd, True)
        return [argv[0], "--info-fd", str(self._telling), "--block-fd", str(self._waiting), *argv[1:]]

    def enter(self) -> int | None:
        """Open the counters of the network inside and let the program go; None when bubblewrap has failed."""
        os.close(self._telling)
        os.close(self._waiting)
        counters = None
        try:
            pid = self._pid_inside()
            if pid is not None:
                counters = os.open(f"/proc/{pid}/net/dev", os.O_RDONLY | os.O_CLOEXEC)
                os.write(self._go, b"g")
        except OSError:
            # Bubblewrap died meanwhile: the run's end tells, not its start.
            return counters
        finally:
            os.close(self._info)
            os.close(self._go)
        return counters

    def _pid_inside(self) -> int | None:
        told = b""
        while b"}" not in told:
            piece = os.read(self._info, 4096)
            if not piece:
                return None
            told += piece
        return int(told.partition(_PID_KEY)[2].split(b",")[0].split(b"}")[0])
