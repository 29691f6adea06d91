"""The sampler: one thread that reads all runs of this process when they are due."""

import heapq
import itertools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple

from scriptfleet.execution.monitor.gpu import Gpus
from scriptfleet.execution.monitor.tree import Run, Tree
from scriptfleet.execution.monitor.watched import Watched

#: Dense while a run is young, so that short ones get a curve; then once a second.
_YOUNG_SECONDS: Final = 5.0
_YOUNG_INTERVAL, _OLD_INTERVAL = 0.1, 1.0
_FIRST_SECONDS: Final = 0.005
#: A reading may come this share of its interval early, with that of another run: waking up costs as much as reading.
_EARLY: Final = 0.1
#: As a lock's acquire() takes it.
_FOR_EVER: Final = -1.0


class _Due(NamedTuple):
    """When to read a run next; a number keeps what is due at once in order."""

    at: float
    number: int
    earliest: float
    watched: Watched
    started_at: float


class Sampler:
    """One thread, started with the first run; each run is read when it is due."""

    def __init__(
        self, trees: Callable[[Run], Tree], interval_seconds: float | None = None, gpus: Gpus | None = None
    ) -> None:
        self._trees, self._interval, self._gpus = trees, interval_seconds, gpus
        self._due: list[_Due] = []
        self._numbers = itertools.count()
        self._guard = threading.Lock()
        # Free when there is news. A condition would say the same and cost several times as much at each waking up.
        self._news = threading.Lock()
        self._news.acquire()
        self._live: set[int] = set()
        self._thread: threading.Thread | None = None
        self._is_closed = False

    def missed(self, run: Run, first: dict[str, int] | None) -> Watched:
        """Give what is known of a run that was over before it could be read: its first look."""
        return Watched(run, self._trees(run), first, self._gpus)

    @contextmanager
    def watching(self, run: Run, first: dict[str, int] | None) -> Iterator[Watched]:
        """Read the run while the block lasts."""
        watched = Watched(run, self._trees(run), first, self._gpus)
        with self._guard:
            self._live.add(id(watched))
            self._push(watched, run.started_at, time.monotonic())
            if self._due[0].watched is watched:
                self._tell()
            if self._thread is None:
                self._thread = threading.Thread(target=self._loop, name="sampler", daemon=True)
                self._thread.start()
        try:
            yield watched
        except BaseException:
            watched.abandon()
            raise
        finally:
            with self._guard:
                self._live.discard(id(watched))

    def close(self) -> None:
        """Stop the thread."""
        with self._guard:
            self._is_closed = True
            self._tell()

    def _push(self, watched: Watched, started_at: float, now: float) -> None:
        interval = self._interval_at(now - started_at)
        due = _Due(now + interval, next(self._numbers), now + interval * (1 - _EARLY), watched, started_at)
        heapq.heappush(self._due, due)

    def _interval_at(self, age: float) -> float:
        usual = self._interval
        if usual is None:
            usual = _YOUNG_INTERVAL if age < _YOUNG_SECONDS else _OLD_INTERVAL
        # The first readings come at about 5, 10, 20, 40 ms, so that a run of some milliseconds is not without one.
        return min(usual, max(_FIRST_SECONDS, age))

    def _tell(self) -> None:
        """Wake the thread, with the guard held."""
        if self._news.locked():
            self._news.release()

    def _loop(self) -> None:
        due: list[_Due] = []
        while not self._is_closed:
            with self._guard:
                now = time.monotonic()
                for item in due:
                    if id(item.watched) in self._live:
                        self._push(item.watched, item.started_at, now)
                due = self._take(now)
                wait = self._due[0].at - now if self._due else _FOR_EVER
            for item in due:
                item.watched.read()
            if not due:
                self._news.acquire(timeout=wait)

    def _take(self, now: float) -> list[_Due]:
        """Take what is due, and what may come early with it."""
        taken = []
        while self._due and self._due[0].earliest <= now:
            item = heapq.heappop(self._due)
            if id(item.watched) in self._live:
                taken.append(item)
        return taken
