"""The output of one run in the shim's poll loop: it is read when there is some, and waits when a reader along does."""

from __future__ import annotations

import select

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from scriptfleet.execution.shim.capture import Capture


class Outputs:
    """Registers a run's output streams with a poller and takes what is ready."""

    def __init__(self, captures: Sequence[Capture], poller: select.poll) -> None:
        self._poller = poller
        self._streams = {capture.read_fd: capture for capture in captures}
        #: Streams that wait, by the descriptor of the reader they wait for.
        self._waiting: dict[int, int] = {}
        for fd in self._streams:
            poller.register(fd, select.POLLIN)

    def take(self, ready: set[int]) -> None:
        """Take one chunk of each stream that is ready."""
        if self._waiting:
            for reader in ready & self._waiting.keys():
                self._poller.unregister(reader)
                self._poller.register(self._waiting.pop(reader), select.POLLIN)
        for fd in ready:
            if fd in self._streams:
                self._take(fd, self._streams[fd])

    def _take(self, fd: int, capture: Capture) -> None:
        reader = capture.blocked_by()
        if reader is not None:
            # The script waits, as it would in a pipeline; deadlines and orders do not.
            self._poller.register(reader, select.POLLOUT)
            self._waiting[reader] = fd
        if reader is not None or not capture.pump():
            self._poller.unregister(fd)
