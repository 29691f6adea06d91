"""Readings of processes from /proc, through descriptors that stay open: a read is some microseconds.

The root of /proc is an argument, so that a recorded tree can be read. CPU time of a live process comes from its own
clock (clock_getcpuclockid(3), nanoseconds); /proc/<pid>/stat would give it in ticks of 10 ms.
"""

import os
import time
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

from scriptfleet.execution.cgroups.kept_file import KeptFile
from scriptfleet.execution.monitor.tree import Reading

#: Where there are clocks as well.
PROC: Final = "/proc"
_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")
#: What a look at those that moved can miss: one that got its number before the look and its place after it, an orphan
#: that came to one which sleeps, memory that the kernel takes from or gives to one that sleeps.
_WALK_EVERY: Final = 20
_AT_ONCE: Final = 65_536
_TICK_SECONDS: Final = 1.0 / os.sysconf("SC_CLK_TCK")
#: Fields of /proc/<pid>/stat, counted after the command's closing parenthesis (proc(5) numbers them from 1, less 3).
_UTIME, _STIME, _CUTIME, _CSTIME, _THREADS = 11, 12, 13, 14, 17
_NONE_KNOWN: Final[Mapping[int, Reading]] = MappingProxyType({})


class ProcessReader:
    """Reads one process again and again; None once it is gone, also when its number was given to another."""

    def __init__(self, pid: int, proc: str = PROC) -> None:
        self.pid = pid
        self._folder = f"{proc}/{pid}"
        # CPUCLOCK_SCHED of a process: its number inverted, shifted by three, plus two.
        self._clock = (~pid << 3) | 2 if proc == PROC else None
        self._children: KeptListing | None = None
        self._stat = os.open(f"{self._folder}/stat", os.O_RDONLY)
        try:
            self._statm = os.open(f"{self._folder}/statm", os.O_RDONLY)
        except OSError:
            os.close(self._stat)
            raise

    def cpu_seconds(self) -> float | None:
        """Give the CPU time on its own clock; None where there is none, or once the process is gone."""
        try:
            return None if self._clock is None else time.clock_gettime(self._clock)
        except OSError:
            return None

    def read(self) -> Reading | None:
        """Give a reading, or None when the process is gone."""
        # Before all else: what the process does from here on, it does at a later time of this clock.
        cpu = self.cpu_seconds()
        try:
            fields = os.pread(self._stat, 2048, 0).rsplit(b")", 1)[1].split()
            resident = self._resident_bytes()
        except (OSError, IndexError):
            return None
        if cpu is None:
            cpu = (int(fields[_UTIME]) + int(fields[_STIME])) * _TICK_SECONDS
        reaped = (int(fields[_CUTIME]) + int(fields[_CSTIME])) * _TICK_SECONDS
        return Reading(cpu, reaped, resident, int(fields[_THREADS]))

    def read_again(self, last: Reading, cpu_seconds: float | None) -> Reading | None:
        """Give the last reading with this CPU time and its memory as it is now; None when the process is gone."""
        try:
            resident = self._resident_bytes()
        except (OSError, IndexError):
            return None
        # What has ended and was not waited for holds none: the next walk finds out.
        if not resident:
            return None
        return last._replace(rss_bytes=resident, cpu_seconds=last.cpu_seconds if cpu_seconds is None else cpu_seconds)

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
        if thread_count <= 1:
            if self._children is None:
                self._children = KeptListing(f"{self._folder}/task/{self.pid}/children")
            return self._children.read()
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
            self._children.close()

    def _resident_bytes(self) -> int:
        return int(os.pread(self._statm, 256, 0).split(None, 2)[1]) * _PAGE_BYTES


class NewestProcess:
    """The number that was given out last on this machine, to a process or a thread, as /proc/loadavg has it."""

    def __init__(self, proc: str = PROC) -> None:
        self._file = KeptFile(f"{proc}/loadavg")

    def read(self) -> bytes:
        """Give it; empty where it is not told."""
        return self._file.read().rpartition(b" ")[2]

    def close(self) -> None:
        """Close the descriptor."""
        self._file.close()


class KeptListing:
    """A list of processes that is read again and again through a descriptor that stays open; empty once it is gone."""

    def __init__(self, path: str) -> None:
        try:
            self._fd: int | None = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            self._fd = None

    def read(self) -> list[int]:
        """Give the numbers in it."""
        try:
            return [] if self._fd is None else [int(word) for word in read_whole(self._fd).split()]
        except OSError:
            return []

    def close(self) -> None:
        """Close the descriptor."""
        if self._fd is not None:
            os.close(self._fd)


def read_whole(fd: int) -> bytes:
    """Give a file's content through a descriptor that was opened once."""
    content = os.pread(fd, _AT_ONCE, 0)
    # The kernel gives about a page at a time: less than half of one was all.
    while len(content) > _PAGE_BYTES // 2 and (more := os.pread(fd, _AT_ONCE, len(content))):
        content += more
    return content


class TreeReader:
    """Reads every process below a shim."""

    def __init__(self, shim_pid: int, proc: str = PROC) -> None:
        self._proc, self._has_clocks = proc, proc == PROC
        #: Orphans come to the shim.
        self._top = KeptListing(f"{proc}/{shim_pid}/task/{shim_pid}/children")
        self._readers: dict[int, ProcessReader] = {}
        self._last: dict[int, Reading] = {}
        #: The machine's newest process before children were looked for, and how many readings there were since a walk.
        self._machine = NewestProcess(proc)
        self._newest, self._unwalked = b"", 0

    def read(self) -> dict[int, Reading]:
        """Give a reading of each process of the tree, by pid.

        A process whose CPU clock stands still has done nothing: it has started no other, taken no memory, waited for
        none. Its last reading holds. Of those that moved, while nothing was started on this machine, memory alone is
        read. Now and then, and when one is gone, all are walked: memory may also be taken from one that sleeps.
        """
        self._unwalked += 1
        if self._unwalked > _WALK_EVERY or not self._last or not self._read_moved():
            self._unwalked = 0
            self._newest = self._machine.read()
            self._last = self._walk(self._top.read())
            for gone in self._readers.keys() - self._last.keys():
                self._forget(gone)
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
        self._top.close()
        for pid in list(self._readers):
            self._forget(pid)

    def _read_moved(self) -> bool:
        """Read anew the processes that have run since the last reading; give False when one is gone."""
        clocks = {pid: self._readers[pid].cpu_seconds() for pid in self._last}
        if self._has_clocks and None in clocks.values():
            return False
        moved = {pid: cpu for pid, cpu in clocks.items() if cpu is None or cpu != self._last[pid].cpu_seconds}
        if not moved:
            return True
        newest = self._machine.read()
        if not newest or newest != self._newest:
            self._newest = newest
            return self._follow(moved)
        readings = {pid: self._readers[pid].read_again(self._last[pid], cpu) for pid, cpu in moved.items()}
        self._last = {**self._last, **{pid: reading for pid, reading in readings.items() if reading is not None}}
        return None not in readings.values()

    def _follow(self, moved: Iterable[int]) -> bool:
        """Read processes that may have started others, and those; give False when one is gone."""
        # What one of them started may have ended by now, and its own child come to the shim.
        fresh = [pid for pid in self._top.read() if pid not in self._last]
        readings = self._walk([*moved, *fresh], known=self._last)
        self._last = {**self._last, **readings}
        return readings.keys() >= set(moved)

    def _walk(self, waiting: list[int], known: Mapping[int, Reading] = _NONE_KNOWN) -> dict[int, Reading]:
        """Read processes and all below them; of those that are known only the ones that are asked for."""
        readings: dict[int, Reading] = {}
        while waiting:
            pid = waiting.pop()
            reader = self._reader(pid)
            reading = reader.read() if reader else None
            if reader is None or reading is None:
                self._forget(pid)
                continue
            readings[pid] = reading
            waiting += [child for child in reader.children(reading.threads) if child not in known]
        return readings

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
