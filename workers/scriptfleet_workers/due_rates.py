"""Opens the fleet's rates when their moment comes, also between two ticks of the heartbeat."""

import logging
import threading
import time
from collections.abc import Callable
from typing import Final

import redis

log = logging.getLogger("scriptfleet.heartbeat")

#: Between two looks: where a rate has many moments, claims and ends of runs open it anyhow.
_LEAST_SECONDS: Final = 0.1


class DueRates:
    """One thread that sleeps until a rate is due. Every worker has one; whichever comes first opens it."""

    def __init__(self, open_due: Callable[[], float | None]) -> None:
        """``open_due`` opens what is due, and gives in how many seconds the next is, or None."""
        self._open_due = open_due
        self._guard = threading.Lock()
        self._due_at: float | None = None
        self._changed, self._stopping = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._loop, name="rates", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def note(self, seconds: float) -> None:
        """Note that a rate is due in so many seconds."""
        due_at = time.monotonic() + seconds
        with self._guard:
            if self._due_at is not None and self._due_at <= due_at:
                return
            self._due_at = due_at
        self._changed.set()

    def close(self) -> None:
        """Let the look that is on end, and stop."""
        self._stopping.set()
        self._changed.set()
        self._thread.join()

    def _loop(self) -> None:
        while not self._stopping.is_set():
            due_at = self._due_at
            if self._changed.wait(None if due_at is None else max(0.0, due_at - time.monotonic())):
                self._changed.clear()
            else:
                self._open()

    def _open(self) -> None:
        with self._guard:
            self._due_at = None
        try:
            seconds = self._open_due()
        except redis.RedisError as fault:
            # The tick opens what is due too, and tells of the next.
            log.info("rates_not_opened reason=%s", fault)
        else:
            if seconds is not None:
                # An earlier moment that was noted meanwhile stands.
                self.note(max(seconds, _LEAST_SECONDS))
