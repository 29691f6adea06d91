"""The output of one run in the shim's poll loop: it is read when there is some, and waits when a reader along does."""

from __future__ import annotations

import select

TYPE_CHECKING = False
if TYPE_CHECKING:
    from scriptfleet.execution.shim.tracked import Tracked


class Outputs:
    """Registers a run's output streams with a poller and takes what is ready."""

    def __init__(self, run: Tracked, poller: select.poll) -> None:
        self._run, self._poller = run, poller
        self._streams = set(run.output_fds())
        #: Streams that wait, by the descriptor of the reader they wait for.
        self._waiting: dict[int, int] = {}
        for fd in self._streams:
            poller.register(fd, select.POLLIN)

    def take(self, ready: set[int]) -> None:
        """Take one chunk of each stream that is ready."""
        for reader in ready & self._waiting.keys():
            self._poller.unregister(reader)
            self._poller.register(self._waiting.pop(reader), select.POLLIN)
        for fd in ready & self._streams:
            self._take(fd)

    def _take(self, fd: int) -> None:
        reader = self._run.blocked_by(fd)
        if reader is not None:
            # The script waits, as it would in a pipeline; deadlines and orders do not.
            self._poller.register(reader, select.POLLOUT)
            self._waiting[reader] = fd
        if reader is not None or not self._run.pump(fd):
            self._poller.unregister(fd)
