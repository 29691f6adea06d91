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
from scriptfleet.execution.monitor.tree import IoBytes, ProcessFacts, Reading

#: Where there are clocks as well.
PROC: Final = "/proc"
#: CPUCLOCK_SCHED of a process: its number inverted, shifted by three, plus two.
_PROCESS_CLOCK: Final = 2
_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")
#: What a look at those that moved can miss: one that got its number before the look and its place after it, an orphan
#: that came to one which sleeps, memory that the kernel takes from or gives to one that sleeps.
_WALK_EVERY: Final = 20
#: Most files are shorter than this, for which Python has memory at hand.
_AT_FIRST: Final = 448
_AT_ONCE: Final = 65_536
_TICK_SECONDS: Final = 1.0 / os.sysconf("SC_CLK_TCK")
#: Fields of /proc/<pid>/stat, counted after the command's closing parenthesis (proc(5) numbers them from 1, less 3).
_PARENT, _UTIME, _STIME, _CUTIME, _CSTIME, _THREADS, _BEGAN = 1, 11, 12, 13, 14, 17, 19
#: Of /proc/<pid>/io, where what is storage's begins.
_STORAGE_IO: Final = b"read_bytes:"
#: What is read of a process's arguments, which may be megabytes.
_LONGEST_ARGUMENTS: Final = 4096
_NONE_KNOWN: Final[Mapping[int, Reading]] = MappingProxyType({})


class ProcessReader:
    """Reads one process again and again; None once it is gone, also when its number was given to another."""

    def __init__(self, pid: int, proc: str = PROC) -> None:
        self.pid = pid
        self._folder = f"{proc}/{pid}"
        self._clock = (~pid << 3) | _PROCESS_CLOCK if proc == PROC else None
        self._children: KeptListing | None = None
        self._io: KeptFile | None = None
        self._io_said = b""
        self._io_known: IoBytes | None = None
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
            fields = os.pread(self._stat, _AT_FIRST, 0).rpartition(b")")[2].split(None, _THREADS + 1)
            resident = self._resident_bytes()
        except (OSError, IndexError):
            return None
        if cpu is None:
            cpu = (int(fields[_UTIME]) + int(fields[_STIME])) * _TICK_SECONDS
        reaped = (int(fields[_CUTIME]) + int(fields[_CSTIME])) * _TICK_SECONDS
        return Reading(cpu, reaped, resident, int(fields[_THREADS]), self._io_bytes())

    def read_again(self, last: Reading, cpu_seconds: float | None) -> Reading | None:
        """Give the last reading with this CPU time, its memory and I/O as they are now; None when it is gone."""
        try:
            resident = self._resident_bytes()
        except (OSError, IndexError):
            return None
        # What has ended and was not waited for holds none: the next walk finds out.
        if not resident:
            return None
        cpu = last.cpu_seconds if cpu_seconds is None else cpu_seconds
        return last._replace(rss_bytes=resident, cpu_seconds=cpu, io=self._io_bytes())

    def facts(self) -> ProcessFacts | None:
        """Give what is told of it, or None when the process is gone."""
        try:
            head, _, rest = os.pread(self._stat, _AT_FIRST, 0).rpartition(b")")
            fields = rest.split()
            age = time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[_BEGAN]) * _TICK_SECONDS
            arguments = _beginning(f"{self._folder}/cmdline")
        except (OSError, IndexError):
            return None
        is_cut = len(arguments) == _LONGEST_ARGUMENTS
        return ProcessFacts(int(fields[_PARENT]), arguments, is_cut, head.partition(b"(")[2], max(0.0, age))

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
        if self._io is not None:
            self._io.close()
        if self._children is not None:
            self._children.close()

    def _resident_bytes(self) -> int:
        return int(os.pread(self._statm, 256, 0).split(None, 2)[1]) * _PAGE_BYTES

    def _io_bytes(self) -> IoBytes | None:
        if self._io is None:
            self._io = KeptFile(f"{self._folder}/io")
        content = self._io.read()
        # Above are calls and bytes that the page cache answered: these change with nearly each reading.
        said = content[content.find(_STORAGE_IO) :]
        if said != self._io_said:
            self._io_said, self._io_known = said, _io_in(content)
        return self._io_known


class EndedChildren:
    """What ended below a process that waits for all of it has read and written since the first look."""

    def __init__(self, pid: int, proc: str = PROC) -> None:
        self._all, self._own = f"{proc}/{pid}/io", f"{proc}/{pid}/task/{pid}/io"
        self._before = self._sum()
        #: As it was at the last look; None where it may not be seen.
        self.io = self._before and IoBytes(0, 0)

    def look(self) -> None:
        """Read it anew."""
        now = self._sum()
        if now is not None and self._before is not None:
            before = self._before
            self.io = IoBytes(max(0, now.read - before.read), max(0, now.written - before.written))

    def _sum(self) -> IoBytes | None:
        # Its own are read last: they may have grown meanwhile, and are not to be taken for those of its children.
        whole = _io_in(read_or_nothing(self._all))
        own = _io_in(read_or_nothing(self._own))
        return whole and own and IoBytes(whole.read - own.read, whole.written - own.written)


def _io_in(content: bytes) -> IoBytes | None:
    # read_bytes: 4096, write_bytes: 0, cancelled_write_bytes: 0.
    words = content[content.find(_STORAGE_IO) :].split()
    return IoBytes(int(words[1]), int(words[3])) if words[:1] == [_STORAGE_IO] else None


class NewestProcess:
    """The number that was given out last on this machine, to a process or a thread, as /proc/loadavg has it."""

    def __init__(self, proc: str = PROC) -> None:
        self._path = f"{proc}/loadavg"
        self._file: KeptFile | None = None

    def read(self) -> bytes:
        """Give it; empty where it is not told."""
        if self._file is None:
            self._file = KeptFile(self._path)
        return self._file.read().rpartition(b" ")[2]

    def close(self) -> None:
        """Close the descriptor."""
        if self._file is not None:
            self._file.close()


class KeptListing:
    """A list of processes that is read again and again through a descriptor that stays open; empty once it is gone."""

    def __init__(self, path: str) -> None:
        #: Opened when first read: most runs are over before their first reading is due.
        self._path, self._fd = path, -1

    def read(self) -> list[int]:
        """Give the numbers in it."""
        try:
            if self._fd < 0:
                self._fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
            return [int(word) for word in read_whole(self._fd).split()]
        except OSError:
            return []

    def close(self) -> None:
        """Close the descriptor."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def read_or_nothing(path: str) -> bytes:
    """Give the beginning of a file; empty where it is not there, or not for us."""
    try:
        return _beginning(path)
    except OSError:
        return b""


def _beginning(path: str) -> bytes:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(fd, _LONGEST_ARGUMENTS)
    finally:
        os.close(fd)


def read_whole(fd: int) -> bytes:
    """Give a file's content through a descriptor that was opened once."""
    content = os.pread(fd, _AT_FIRST, 0)
    if len(content) == _AT_FIRST:
        # The kernel gives about a page at a time.
        while more := os.pread(fd, _AT_ONCE, len(content)):
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
        self._shim_pid = shim_pid
        self._ended: EndedChildren | None = None

    def read(self) -> dict[int, Reading]:
        """Give a reading of each process of the tree, by pid.

        A process whose CPU clock stands still has done nothing: it has started no other, taken no memory, waited for
        none. Its last reading holds. Of those that moved, while nothing was started on this machine, memory alone is
        read. Now and then, and when one is gone, all are walked: memory may also be taken from one that sleeps.
        As long as nothing has changed the very same readings are given.
        """
        self._unwalked += 1
        moved = self._moved() if self._last and self._unwalked <= _WALK_EVERY else None
        if moved is None or (moved and not self._read_moved(moved)):
            self._read_all()
        return self._last

    def ended_io(self) -> IoBytes | None:
        """Give the I/O of what has ended and was waited for by the shim, as orphans are."""
        return None if self._ended is None else self._ended.io

    def facts(self, pid: int) -> ProcessFacts | None:
        """Give what is told of a process that was read."""
        reader = self._readers.get(pid)
        return reader.facts() if reader else None

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

    def _look_at_ended(self) -> None:
        if self._ended is None:
            self._ended = EndedChildren(self._shim_pid, self._proc)
        else:
            self._ended.look()

    def _moved(self) -> dict[int, float | None] | None:
        """Give the processes that have run since the last reading, with their CPU time; None when one is gone."""
        if not self._has_clocks:
            return dict.fromkeys(self._last)
        moved: dict[int, float | None] = {}
        try:
            for pid, last in self._last.items():
                cpu = time.clock_gettime((~pid << 3) | _PROCESS_CLOCK)
                if cpu != last.cpu_seconds:
                    moved[pid] = cpu
        except OSError:
            return None
        return moved

    def _read_moved(self, moved: Mapping[int, float | None]) -> bool:
        """Read processes anew; give False when one is gone."""
        newest = self._machine.read()
        if not newest or newest != self._newest:
            self._newest = newest
            return self._follow(moved)
        readings = {pid: self._readers[pid].read_again(self._last[pid], cpu) for pid, cpu in moved.items()}
        self._last = {**self._last, **{pid: reading for pid, reading in readings.items() if reading is not None}}
        return None not in readings.values()

    def _read_all(self) -> None:
        self._unwalked = 0
        self._newest = self._machine.read()
        found, ended_before = self._walk(self._top.read()), self.ended_io()
        for gone in self._readers.keys() - found.keys():
            self._forget(gone)
        self._look_at_ended()
        if found != self._last or self.ended_io() != ended_before:
            self._last = found

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
