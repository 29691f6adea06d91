"""Readings of processes from /proc, through descriptors that stay open: a read is some microseconds.

The root of /proc is an argument, so that a recorded tree can be read. CPU time of a live process comes from its own
clock (clock_getcpuclockid(3), nanoseconds); /proc/<pid>/stat would give it in ticks of 10 ms.
"""

import os
import time
from dataclasses import dataclass
from typing import Final

_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")
_TICK_SECONDS: Final = 1.0 / os.sysconf("SC_CLK_TCK")
#: Fields of /proc/<pid>/stat, counted after the command's closing parenthesis (proc(5) numbers them from 1, less 3).
_CUTIME, _CSTIME, _THREADS = 13, 14, 17


@dataclass(frozen=True, slots=True)
class Reading:
    """One process at one moment."""

    #: Its own CPU time, and that of children it has waited for, seconds.
    cpu_seconds: float
    reaped_seconds: float
    rss_bytes: int
    threads: int


class ProcessReader:
    """Reads one process again and again; None once it is gone, also when its number was given to another."""

    def __init__(self, pid: int, proc: str = "/proc") -> None:
        self.pid = pid
        self._folder = f"{proc}/{pid}"
        self._has_clock = proc == "/proc"
        self._stat = os.open(f"{self._folder}/stat", os.O_RDONLY)
        try:
            self._statm = os.open(f"{self._folder}/statm", os.O_RDONLY)
        except OSError:
            os.close(self._stat)
            raise

    def read(self) -> Reading | None:
        """Give a reading, or None when the process is gone."""
        try:
            fields = os.pread(self._stat, 2048, 0).rsplit(b")", 1)[1].split()
            resident = int(os.pread(self._statm, 256, 0).split()[1])
        except (OSError, IndexError):
            return None
        reaped = (int(fields[_CUTIME]) + int(fields[_CSTIME])) * _TICK_SECONDS
        return Reading(self._cpu_seconds(fields), reaped, resident * _PAGE_BYTES, int(fields[_THREADS]))

    def threads(self) -> list[int]:
        """Give the ids of its threads."""
        try:
            return [int(name) for name in os.listdir(f"{self._folder}/task")]
        except OSError:
            return []

    def open_files(self) -> int | None:
        """Give how many descriptors are open; None where that may not be seen."""
        try:
            return len(os.listdir(f"{self._folder}/fd"))
        except OSError:
            return None

    def children(self, thread_count: int) -> list[int]:
        """Give its children. With one thread, one file is read."""
        found: list[int] = []
        for thread in [self.pid] if thread_count <= 1 else self.threads():
            try:
                with open(f"{self._folder}/task/{thread}/children", "rb") as listing:
                    found += map(int, listing.read().split())
            except OSError:
                continue
        return found

    def close(self) -> None:
        """Close the descriptors."""
        os.close(self._stat)
        os.close(self._statm)

    def _cpu_seconds(self, fields: list[bytes]) -> float:
        if self._has_clock:
            try:
                # CPUCLOCK_SCHED of a process: its number inverted, shifted by three, plus two.
                return time.clock_gettime((~self.pid << 3) | 2)
            except OSError:
                return 0.0
        return (int(fields[11]) + int(fields[12])) * _TICK_SECONDS


class TreeReader:
    """Reads every process below a shim."""

    def __init__(self, shim_pid: int, proc: str = "/proc") -> None:
        self._shim_pid, self._proc = shim_pid, proc
        self._readers: dict[int, ProcessReader] = {}

    def read(self) -> dict[int, Reading]:
        """Give a reading of each process of the tree, by pid."""
        readings: dict[int, Reading] = {}
        waiting = self._below(self._shim_pid)
        while waiting:
            pid = waiting.pop()
            reader = self._reader(pid)
            reading = reader.read() if reader else None
            if reader is None or reading is None:
                self._forget(pid)
                continue
            readings[pid] = reading
            waiting += reader.children(reading.threads)
        for gone in self._readers.keys() - readings.keys():
            self._forget(gone)
        return readings

    def open_files(self) -> int:
        """Give the descriptors open over the tree that may be seen."""
        return sum(reader.open_files() or 0 for reader in self._readers.values())

    def close(self) -> None:
        """Close every descriptor."""
        for pid in list(self._readers):
            self._forget(pid)

    def _below(self, pid: int) -> list[int]:
        try:
            with open(f"{self._proc}/{pid}/task/{pid}/children", "rb") as listing:
                return [int(word) for word in listing.read().split()]
        except OSError:
            return []

    def _reader(self, pid: int) -> ProcessReader | None:
        if pid not in self._readers:
            try:
                self._readers[pid] = ProcessReader(pid, self._proc)
            except OSError:
                return None
        return self._readers[pid]

    def _forget(self, pid: int) -> None:
        reader = self._readers.pop(pid, None)
        if reader is not None:
            reader.close()
