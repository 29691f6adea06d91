"""Readings of processes from /proc, through descriptors that stay open: a read is some microseconds.

The root of /proc is an argument, so that a recorded tree can be read. CPU time of a live process comes from its own
clock (clock_getcpuclockid(3), nanoseconds); /proc/<pid>/stat would give it in ticks of 10 ms.
"""

import os
import time
from typing import Final

from scriptfleet.execution.cgroups.kept_file import KeptFile
from scriptfleet.execution.monitor.tree import Reading

_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")
#: A process that was given its number before a walk and found its place after it is found by the next one.
_WALK_EVERY: Final = 20
_AT_ONCE: Final = 65_536
_TICK_SECONDS: Final = 1.0 / os.sysconf("SC_CLK_TCK")
#: Fields of /proc/<pid>/stat, counted after the command's closing parenthesis (proc(5) numbers them from 1, less 3).
_UTIME, _STIME, _CUTIME, _CSTIME, _THREADS = 11, 12, 13, 14, 17


class ProcessReader:
    """Reads one process again and again; None once it is gone, also when its number was given to another."""

    def __init__(self, pid: int, proc: str = "/proc") -> None:
        self.pid = pid
        self._folder = f"{proc}/{pid}"
        self._has_clock = proc == "/proc"
        self._children: int | None = None
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
            resident = self._resident_bytes()
        except (OSError, IndexError):
            return None
        cpu = self._clock()
        if cpu is None:
            cpu = (int(fields[_UTIME]) + int(fields[_STIME])) * _TICK_SECONDS
        reaped = (int(fields[_CUTIME]) + int(fields[_CSTIME])) * _TICK_SECONDS
        return Reading(cpu, reaped, resident, int(fields[_THREADS]))

    def read_again(self, last: Reading) -> Reading | None:
        """Give the last reading with CPU time and memory as they are now; None when the process is gone."""
        try:
            resident = self._resident_bytes()
        except (OSError, IndexError):
            return None
        # What has ended and was not waited for holds none: the next walk finds out.
        if not resident:
            return None
        cpu = self._clock()
        return Reading(last.cpu_seconds if cpu is None else cpu, last.reaped_seconds, resident, last.threads)

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
        """Give its children. With one thread, one file is read, through a descriptor that stays open as well."""
        try:
            if thread_count <= 1:
                return self._own_children()
        except OSError:
            return []
        found: list[int] = []
        for thread in self.threads():
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
        if self._children is not None:
            os.close(self._children)

    def _own_children(self) -> list[int]:
        if self._children is None:
            self._children = os.open(f"{self._folder}/task/{self.pid}/children", os.O_RDONLY)
        return [int(word) for word in read_whole(self._children).split()]

    def _resident_bytes(self) -> int:
        return int(os.pread(self._statm, 256, 0).split()[1]) * _PAGE_BYTES

    def _clock(self) -> float | None:
        if not self._has_clock:
            return None
        try:
            # CPUCLOCK_SCHED of a process: its number inverted, shifted by three, plus two.
            return time.clock_gettime((~self.pid << 3) | 2)
        except OSError:
            return 0.0


class NewestProcess:
    """The number that was given out last on this machine, to a process or a thread, as /proc/loadavg has it."""

    def __init__(self, proc: str = "/proc") -> None:
        self._file = KeptFile(f"{proc}/loadavg")

    def read(self) -> bytes:
        """Give it; empty where it is not told."""
        return self._file.read().rpartition(b" ")[2]

    def close(self) -> None:
        """Close the descriptor."""
        self._file.close()


def read_whole(fd: int) -> bytes:
    """Give a file's content through a descriptor that was opened once."""
    content = os.pread(fd, _AT_ONCE, 0)
    # The kernel gives about a page at a time: less than half of one was all.
    while len(content) > _PAGE_BYTES // 2 and (more := os.pread(fd, _AT_ONCE, len(content))):
        content += more
    return content


class TreeReader:
    """Reads every process below a shim."""

    def __init__(self, shim_pid: int, proc: str = "/proc") -> None:
        self._shim_pid, self._proc = shim_pid, proc
        self._readers: dict[int, ProcessReader] = {}
        self._last: dict[int, Reading] = {}
        #: The machine's newest process before the last walk, and how many readings have gone by without one.
        self._machine = NewestProcess(proc)
        self._newest, self._unwalked = b"", 0

    def read(self) -> dict[int, Reading]:
        """Give a reading of each process of the tree, by pid.

        While nothing was started on this machine and no process of the tree is gone, CPU time and memory alone are
        read: threads, and the time of children that were waited for, are those of the last walk.
        """
        newest = self._machine.read()
        if newest and newest == self._newest and self._unwalked < _WALK_EVERY:
            again = self._read_again()
            if again is not None:
                self._unwalked += 1
                return again
        self._newest, self._unwalked = newest, 0
        self._last = self._walk()
        return self._last

    def open_files(self) -> int:
        """Give the descriptors open over the tree that may be seen."""
        return sum(reader.open_files() or 0 for reader in self._readers.values())

    def strayed_seconds(self) -> float:
        """Nothing strays: orphans come to the shim, which waits for them."""
        return 0.0

    def close(self) -> None:
        """Close every descriptor."""
        self._machine.close()
        for pid in list(self._readers):
            self._forget(pid)

    def _read_again(self) -> dict[int, Reading] | None:
        """Read the known processes; None when one of them is gone."""
        readings: dict[int, Reading] = {}
        for pid, last in self._last.items():
            reading = self._readers[pid].read_again(last)
            if reading is None:
                return None
            readings[pid] = reading
        return readings

    def _walk(self) -> dict[int, Reading]:
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
