"""The sampler: one thread that reads all runs of this process, and ends those that are over a limit."""

import heapq
import itertools
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Protocol

from scriptfleet.domain.limits import Limits
from scriptfleet.domain.outcome import StopReason
from scriptfleet.execution.cgroups.group import GroupReading, RunGroup
from scriptfleet.execution.monitor.curve import Curve
from scriptfleet.execution.monitor.procfs import TreeReader
from scriptfleet.execution.plan import Ended

_MIB: Final = 1024 * 1024
#: Counting open files lists a folder for each process: done at every so many readings.
_FILES_EVERY: Final = 10
#: Dense while a run is young, so that short ones get a curve; then once a second.
_YOUNG_SECONDS: Final = 5.0
_YOUNG_INTERVAL, _OLD_INTERVAL = 0.1, 1.0
_FIRST_SECONDS: Final = 0.005
_SHORTEST_INTERVAL: Final = 0.02


class Run(Protocol):
    """What the sampler needs of a run."""

    shim_pid: int
    started_at: float
    limits: Limits
    group: RunGroup | None

    def stop(self, reason: StopReason, grace_seconds: float | None = None) -> None:
        """End the run."""


class Watched:
    """What was read of one run. Sizes in bytes, CPU in percent of one core."""

    def __init__(self, run: Run, first: dict[str, int] | None) -> None:
        self._run, self._tree = run, TreeReader(run.shim_pid)
        self._lock = threading.Lock()
        self._is_open = True
        self._last_at, self._last_cpu = run.started_at, 0.0
        self._counted = 0
        self.curve = Curve()
        self.cpu_max: float | None = None
        self.cpu_min: float | None = None
        self.rss_max_bytes: int | None = None
        self.rss_min_bytes: int | None = None
        self._rss_sum, self._readings = 0, 0
        self.processes = self.threads = self.files = 0
        self._first = first

    @property
    def rss_avg_bytes(self) -> float | None:
        """Mean of the readings."""
        return self._rss_sum / self._readings if self._readings else None

    @property
    def is_sampled(self) -> bool:
        """Whether there was any reading while it ran."""
        return self._readings > 0

    def read(self) -> None:
        """Take one reading and act on limits."""
        with self._lock:
            if self._is_open:
                self._read()

    def close(self, ended: Ended) -> None:
        """Take the last interval from the exact total, fall back to the first look, and close descriptors."""
        with self._lock:
            self._is_open = False
            total = ended.cpu_seconds
            self._interval(self._run.started_at + ended.seconds, total, is_last=True)
            if self._first:
                self.processes = max(self.processes, 1)
                self.threads = max(self.threads, self._first["threads"])
                self.files = max(self.files, self._first["files"])
            self._tree.close()

    def abandon(self) -> None:
        """Close descriptors of a run whose account never came."""
        with self._lock:
            if self._is_open:
                self._is_open = False
                self._tree.close()

    def _read(self) -> None:
        before = time.monotonic()
        readings = self._tree.read()
        now = (before + time.monotonic()) / 2
        # What has ended and was not waited for yet holds no memory: a reading of that alone is none.
        if not any(one.rss_bytes for one in readings.values()):
            return
        group = self._run.group.read() if self._run.group else GroupReading()
        cpu = group.cpu_seconds
        if cpu is None:
            cpu = sum(one.cpu_seconds + one.reaped_seconds for one in readings.values())
        resident = sum(one.rss_bytes for one in readings.values())
        percent = self._interval(now, cpu)
        self._add_memory(resident)
        self.processes = max(self.processes, len(readings))
        self.threads = max(self.threads, sum(one.threads for one in readings.values()))
        if self._counted % _FILES_EVERY == 0:
            self.files = max(self.files, self._tree.open_files())
        self._counted += 1
        point = (round(now - self._run.started_at, 3), round(percent, 1), round(resident / _MIB, 2), len(readings))
        self.curve.add(point)
        self._enforce(cpu, resident, len(readings), group)

    def _interval(self, now: float, cpu: float, is_last: bool = False) -> float:
        """Give the CPU percent since the last interval's end and, when the piece is long enough, end one here.

        A shorter piece is counted to the next one, since its percentage would be mostly rounding; a run that had no
        interval is itself one.
        """
        seconds = now - self._last_at
        if seconds <= 0:
            return 0.0
        percent = max(0.0, 100.0 * (cpu - self._last_cpu) / seconds)
        if seconds >= _SHORTEST_INTERVAL or (is_last and self.cpu_max is None):
            self.cpu_max = max(self.cpu_max or 0.0, percent)
            self.cpu_min = percent if self.cpu_min is None else min(self.cpu_min, percent)
            # Children that died unwaited take their time with them; a total never goes down.
            self._last_at, self._last_cpu = now, max(cpu, self._last_cpu)
        return percent

    def _add_memory(self, resident: int) -> None:
        self._readings += 1
        self._rss_sum += resident
        self.rss_max_bytes = max(self.rss_max_bytes or 0, resident)
        self.rss_min_bytes = resident if self.rss_min_bytes is None else min(self.rss_min_bytes, resident)

    def _enforce(self, cpu: float, resident: int, processes: int, group: GroupReading) -> None:
        limits = self._run.limits
        if group.oom_kills or (limits.memory_mb is not None and resident > limits.memory_mb * _MIB):
            self._run.stop(StopReason.MEMORY, 0.0)
        elif limits.cpu_seconds is not None and cpu > limits.cpu_seconds:
            self._run.stop(StopReason.CPU_TIME)
        elif limits.processes is not None and (processes > limits.processes or group.forks_refused):
            self._run.stop(StopReason.PROCESSES, 0.0)


class Sampler:
    """One thread, started with the first run; each run is read when it is due."""

    def __init__(self, interval_seconds: float | None = None) -> None:
        self._interval = interval_seconds
        self._due: list[tuple[float, int, Watched, float]] = []
        self._order = itertools.count()
        self._changed = threading.Condition()
        self._live: set[int] = set()
        self._thread: threading.Thread | None = None
        self._is_closed = False

    @contextmanager
    def watching(self, run: Run, first: dict[str, int] | None) -> Iterator[Watched]:
        """Read the run while the block lasts."""
        watched = Watched(run, first)
        with self._changed:
            self._live.add(id(watched))
            self._push(watched, run.started_at, time.monotonic())
            if self._thread is None:
                self._thread = threading.Thread(target=self._loop, name="sampler", daemon=True)
                self._thread.start()
        try:
            yield watched
        except BaseException:
            watched.abandon()
            raise
        finally:
            with self._changed:
                self._live.discard(id(watched))

    def close(self) -> None:
        """Stop the thread."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()

    def _push(self, watched: Watched, started_at: float, now: float) -> None:
        due = now + self._interval_at(now - started_at)
        heapq.heappush(self._due, (due, next(self._order), watched, started_at))
        if self._due[0][2] is watched:
            self._changed.notify()

    def _interval_at(self, age: float) -> float:
        usual = self._interval
        if usual is None:
            usual = _YOUNG_INTERVAL if age < _YOUNG_SECONDS else _OLD_INTERVAL
        # The first readings come at about 5, 10, 20, 40 ms, so that a run of some milliseconds is not without one.
        return min(usual, max(_FIRST_SECONDS, age))

    def _loop(self) -> None:
        while True:
            with self._changed:
                item = self._next()
                if item is None:
                    return
            watched, started_at = item
            watched.read()
            with self._changed:
                if id(watched) in self._live:
                    self._push(watched, started_at, time.monotonic())

    def _next(self) -> tuple[Watched, float] | None:
        """Wait for the next run that is due; None when closed."""
        while not self._is_closed:
            if not self._due:
                self._changed.wait()
                continue
            wait = self._due[0][0] - time.monotonic()
            if wait <= 0:
                _, _, watched, started_at = heapq.heappop(self._due)
                if id(watched) in self._live:
                    return watched, started_at
                continue
            self._changed.wait(wait)
        return None
