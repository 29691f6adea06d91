"""The way out of the fleet: what runs may finish for a while, then it is ended and its jobs are put back."""

import logging
import threading
from collections.abc import Callable

log = logging.getLogger("scriptfleet.worker")


class Drain:
    """Begins once, ends the runs at its end or when it is asked to hurry."""

    def __init__(self, seconds: float, end_runs: Callable[[], None]) -> None:
        """``seconds`` is how long what runs may go on; ``end_runs`` ends it."""
        self._seconds, self._end_runs = seconds, end_runs
        # Reentrant: a signal may come while this very thread is inside.
        self._guard = threading.RLock()
        self._timer: threading.Timer | None = None
        #: Set once no new job is to be taken.
        self.begun = threading.Event()

    @property
    def seconds(self) -> float:
        """How long what runs may go on from the beginning."""
        return self._seconds

    def allow(self, seconds: float) -> None:
        """Say how long what runs may go on, for a drain that is about to begin."""
        self._seconds = seconds

    def begin(self) -> None:
        """Take no more jobs, and end what still runs after the time allowed; safe to repeat."""
        with self._guard:
            if self.begun.is_set():
                return
            self.begun.set()
            self._timer = threading.Timer(self._seconds, self._end, ("its time is over",))
            self._timer.daemon = True
            self._timer.start()
        log.info("drain_begun seconds=%g", self._seconds)

    def hurry(self) -> None:
        """Begin, or where it has begun, end what still runs at once: somebody asks again."""
        if self.begun.is_set():
            self._end("asked again")
        else:
            self.begin()

    def close(self) -> None:
        """End nothing any more: this worker has left."""
        with self._guard:
            if self._timer is not None:
                self._timer.cancel()

    def _end(self, why: str) -> None:
        log.warning("drain_ends_runs reason=%s", why)
        self._end_runs()
