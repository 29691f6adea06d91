"""A thread that does the same thing again and again, and outlives what goes wrong in it."""

import logging
import threading
from collections.abc import Callable

log = logging.getLogger("scriptfleet.worker")


class Rounds:
    """Calls ``step`` every so many seconds; a fault of ours in it is logged, and the next round comes."""

    def __init__(self, name: str, every_seconds: float, step: Callable[[], None]) -> None:
        self._every_seconds, self._step = every_seconds, step
        #: Set when the rounds are to end; a step that waits, waits on it.
        self.stopping = threading.Event()
        #: Rounds that failed since the last one that did not.
        self.failed = 0
        self._thread = threading.Thread(target=self._loop, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread; the first round comes after the first wait."""
        self._thread.start()

    def close(self) -> None:
        """Let the round that is on end, and stop."""
        self.stopping.set()
        self._thread.join()

    def _loop(self) -> None:
        while not self.stopping.wait(self._every_seconds):
            self.once()

    def once(self) -> None:
        """Do one round now, on this thread."""
        try:
            self._step()
        except Exception:
            # The edge of the thread: without it the rounds would end in silence.
            self.failed += 1
            log.exception("round_failed thread=%s failed_in_a_row=%d", self._thread.name, self.failed)
        else:
            self.failed = 0
