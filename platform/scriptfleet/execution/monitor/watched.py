"""One run as it is watched: readings are added up, turned into a curve, and held against the run's limits."""

import threading
import time
from collections.abc import Mapping
from typing import Final, NamedTuple

from scriptfleet.domain.outcome import StopReason
from scriptfleet.domain.process_tree import ProcessTree
from scriptfleet.domain.sample import Sample
from scriptfleet.execution.cgroups.group import Refusals, RunGroup
from scriptfleet.execution.ended import Ended
from scriptfleet.execution.monitor.curve import Curve
from scriptfleet.execution.monitor.gpu import GpuPeak, Gpus
from scriptfleet.execution.monitor.snapshots import Snapshots
from scriptfleet.execution.monitor.tree import IoBytes, Reading, Run, Tree

_MIB: Final = 1024 * 1024
#: Counting open files lists a folder for each process: done at every so many readings.
_FILES_EVERY: Final = 10
_SHORTEST_INTERVAL: Final = 0.02
_NOTHING_REFUSED: Final = Refusals()
#: Readings are counted when so many have come: what is done many times over at once costs a fraction.
_MOST_UNCOUNTED: Final = 50


class _Sums(NamedTuple):
    """Readings of all processes added up."""

    processes: int
    resident: int
    threads: int
    cpu_seconds: float
    io: IoBytes | None


class Watched:
    """What was read of one run. Sizes in bytes, CPU in percent of one core."""

    def __init__(self, run: Run, tree: Tree, first: dict[str, int] | None, gpus: Gpus | None) -> None:
        self._run, self._tree = run, tree
        self._lock = threading.Lock()
        self._is_open = True
        self._last_at, self._last_cpu = run.started_at, 0.0
        self._pids: set[int] = set()
        self._io: IoBytes | None = None
        self._last: Mapping[int, Reading] | None = None
        self._sums = _Sums(0, 0, 0, 0.0, None)
        #: Moments, and the sums at each, that are not in the curve yet.
        self._uncounted: list[tuple[float, _Sums]] = []
        #: Those after which open files were counted last.
        self._files_of: Mapping[int, Reading] | None = None
        #: Whether more than its processes tells of the run: then no reading is like the one before.
        self._has_others = run.group is not None or gpus is not None
        self.snapshots = Snapshots(run, tree)
        self._curve = Curve()
        self.cpu_max: float | None = None
        self.cpu_min: float | None = None
        self.rss_max_bytes: int | None = None
        self.rss_min_bytes: int | None = None
        self._rss_sum, self._readings = 0, 0
        self.processes = self.threads = self.files = 0
        self._first = first
        self.gpu = GpuPeak(gpus)

    @property
    def curve(self) -> Curve:
        """What was read so far. From any thread."""
        with self._lock:
            self._catch_up()
        return self._curve

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

    def process_tree(self) -> ProcessTree | None:
        """Give its processes as they are just now; None once it is over. From any thread."""
        with self._lock:
            readings = self._tree.read() if self._is_open else {}
            return self.snapshots.take(time.monotonic() - self._run.started_at, readings) if readings else None

    def close(self, ended: Ended) -> Ended:
        """Take the last interval from the exact total, fall back to the first look, and let go of the tree.

        Gives the account with what only readings know of: the time of processes that nothing could wait for.
        """
        self._let_go()
        ended = ended._replace(strayed_seconds=self._tree.strayed_seconds())
        self._interval(self._run.started_at + ended.seconds, ended.cpu_seconds, is_last=True)
        self._bound_by_mean(ended)
        if self._first:
            self.processes = max(self.processes, 1)
            self.threads = max(self.threads, self._first["threads"])
            self.files = max(self.files, self._first["files"])
        return ended

    def _bound_by_mean(self, ended: Ended) -> None:
        """Whatever its intervals were, the most of them is not below the mean, nor the least above it."""
        if ended.seconds > 0 and self.cpu_max is not None and self.cpu_min is not None:
            mean = 100.0 * ended.cpu_seconds / ended.seconds
            self.cpu_max, self.cpu_min = max(self.cpu_max, mean), min(self.cpu_min, mean)

    def abandon(self) -> None:
        """Let go of a run whose account never came."""
        self._let_go()

    def _let_go(self) -> None:
        """Take no more readings. Ending what strayed may last: whoever is about to read need not wait for that."""
        with self._lock:
            was_open, self._is_open = self._is_open, False
            self._catch_up()
        if was_open:
            self._tree.close()

    def _read(self) -> None:
        before = time.monotonic()
        readings = self._tree.read()
        if self._is_as_before(before, readings):
            self._count_later(before, self._sums)
            return
        now = (before + time.monotonic()) / 2
        if readings is not self._last:
            self._last, self._sums = readings, self._sums_of(readings)
        # What has ended and was not waited for yet holds no memory: a reading of that alone is none.
        if self._sums.resident:
            self._take(now, readings)

    def _is_as_before(self, now: float, readings: Mapping[int, Reading]) -> bool:
        """Tell whether nothing has run since the last reading, and nothing but the same numbers is due."""
        if readings is not self._last or self._has_others or not self._sums.resident:
            return False
        is_counting = readings is not self._files_of and self._is_counting_files()
        return not is_counting and not self.snapshots.is_due(now - self._run.started_at, readings)

    def _take(self, now: float, readings: Mapping[int, Reading]) -> None:
        group, sums = self._run.group, self._sums
        if group is not None and (cpu := group.cpu_seconds()) is not None:
            sums = sums._replace(cpu_seconds=cpu)
        if self._is_counting_files():
            self.files, self._files_of = max(self.files, self._tree.open_files()), readings
        self._count_later(now, sums)
        self.gpu.add(readings.keys())
        self.snapshots.consider(round(now - self._run.started_at, 3), readings)
        self._enforce(sums, self._refusals(group, readings))

    def _is_counting_files(self) -> bool:
        return (self._readings + len(self._uncounted)) % _FILES_EVERY == 0

    def _count_later(self, now: float, sums: _Sums) -> None:
        self._uncounted.append((now, sums))
        if len(self._uncounted) >= _MOST_UNCOUNTED:
            self._catch_up()

    def _catch_up(self) -> None:
        """Count the readings that were not counted yet."""
        uncounted, self._uncounted = self._uncounted, []
        for now, sums in uncounted:
            self._count(now, sums)

    def _count(self, now: float, sums: _Sums) -> None:
        processes, resident, threads, cpu, io = sums
        percent = self._interval(now, cpu)
        self._add(resident, processes, threads)
        seconds = round(now - self._run.started_at, 3)
        self._curve.add(Sample(seconds, round(percent, 1), round(resident / _MIB, 2), processes, *(io or ())))

    def _sums_of(self, readings: Mapping[int, Reading]) -> _Sums:
        resident, threads, cpu = 0, 0, 0.0
        for one in readings.values():
            resident += one.rss_bytes
            threads += one.threads
            cpu += one.cpu_seconds + one.reaped_seconds
        return _Sums(len(readings), resident, threads, cpu, self._io_so_far(readings))

    def _io_so_far(self, readings: Mapping[int, Reading]) -> IoBytes | None:
        """Add up what was read and written; None where that of any part may not be seen."""
        parts = [one.io for one in readings.values()] + [self._tree.ended_io()]
        known = [one for one in parts if one is not None]
        if len(known) < len(parts):
            return None
        # What ended between two looks may be counted late; a total never goes down.
        before = self._io or IoBytes(0, 0)
        now = IoBytes(sum(one.read for one in known), sum(one.written for one in known))
        self._io = IoBytes(max(now.read, before.read), max(now.written, before.written))
        return self._io

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

    def _add(self, resident: int, processes: int, threads: int) -> None:
        self._readings += 1
        self._rss_sum += resident
        self.rss_max_bytes = max(self.rss_max_bytes or 0, resident)
        self.rss_min_bytes = resident if self.rss_min_bytes is None else min(self.rss_min_bytes, resident)
        self.processes = max(self.processes, processes)
        self.threads = max(self.threads, threads)

    def _refusals(self, group: RunGroup | None, readings: Mapping[int, Reading]) -> Refusals:
        """Ask the kernel what it refused. A run without limits may meet those of others: then one of it is gone."""
        if group is None:
            return _NOTHING_REFUSED
        limits, gone = self._run.limits, self._pids - readings.keys()
        self._pids = set(readings)
        is_limited = limits.memory_mb is not None or limits.processes is not None
        return group.refusals() if is_limited or gone else _NOTHING_REFUSED

    def _enforce(self, sums: _Sums, refused: Refusals) -> None:
        limits, (processes, resident, _, cpu, _) = self._run.limits, sums
        if refused.oom_kills or (limits.memory_mb is not None and resident > limits.memory_mb * _MIB):
            self._run.stop(StopReason.MEMORY, 0.0)
        elif limits.cpu_seconds is not None and cpu > limits.cpu_seconds:
            self._run.stop(StopReason.CPU_TIME)
        elif limits.processes is not None and (processes > limits.processes or refused.forks):
            self._run.stop(StopReason.PROCESSES, 0.0)
