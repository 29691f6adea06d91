"""How busy this machine is, from /proc; for memory also the control group that this worker lives in, as a container."""

import os
from dataclasses import dataclass
from pathlib import Path

from scriptfleet.execution.cgroups.group import field_of, read_text

_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Load:
    """One look. None where the machine does not say."""

    #: Share of all cores together that was busy since the look before, percent.
    cpu_percent: float | None
    #: Memory that is not available without swapping, percent; of the container where that is fuller.
    memory_percent: float | None
    #: Memory that is available without swapping, MiB; in the container where that has less.
    memory_free_mb: float | None = None


class HostLoad:
    """Reads the load; each look gives the CPU's share since the one before."""

    def __init__(self, proc: Path = Path("/proc")) -> None:
        self._proc = proc
        self._before = self._cpu_times()

    def look(self) -> Load:
        """Read it now."""
        rooms = [room for room in (self._host_room(), *self._group_rooms()) if room is not None]
        fullest = max((room.share for room in rooms), default=None)
        free = min((room.free_bytes for room in rooms), default=None)
        return Load(
            cpu_percent=self._cpu_percent(),
            memory_percent=None if fullest is None else 100.0 * fullest,
            memory_free_mb=None if free is None else free / _MIB,
        )

    def _cpu_percent(self) -> float | None:
        before, self._before = self._before, self._cpu_times()
        if before is None or self._before is None:
            return None
        busy, total = self._before[0] - before[0], self._before[1] - before[1]
        return 100.0 * busy / total if total > 0 else None

    def _cpu_times(self) -> tuple[int, int] | None:
        """Give busy and all ticks of all cores since boot; see proc_stat(5)."""
        lines = (read_text(f"{self._proc}/stat") or "").splitlines()
        if not lines or not lines[0].startswith("cpu "):
            return None
        # Guest time, the last two fields, is in user time already.
        ticks = [int(field) for field in lines[0].split()[1:9]]
        return sum(ticks) - ticks[3] - ticks[4], sum(ticks)

    def _host_room(self) -> "_Room | None":
        sizes = self._meminfo()
        total, available = sizes.get("MemTotal"), sizes.get("MemAvailable")
        return None if not total or available is None else _Room(total * 1024, (total - available) * 1024)

    def _meminfo(self) -> dict[str, int]:
        lines = (read_text(f"{self._proc}/meminfo") or "").splitlines()
        pairs = (line.split(":", 1) for line in lines if ":" in line)
        return {name: int(rest.split()[0]) for name, rest in pairs}

    def _group_rooms(self) -> "list[_Room | None]":
        """Give the memory limits on the way up from this process's own group."""
        point, version, own = self._memory_group()
        if point is None:
            return []
        folder, rooms = point / own.strip("/"), []
        for place in (folder, *folder.parents):
            rooms.append(_room_of_v2(place) if version == 2 else _room_of_v1(place))  # noqa: PLR2004
            if place == point:
                break
        return rooms

    def _memory_group(self) -> tuple[Path | None, int, str]:
        """Give where the hierarchy that accounts memory is mounted, its version, and our group in it."""
        groups = [line.split(":", 2) for line in (read_text(f"{self._proc}/self/cgroup") or "").splitlines()]
        for version, kind in ((1, "cgroup"), (2, "cgroup2")):
            for line in (read_text(f"{self._proc}/self/mounts") or "").splitlines():
                _, point, mounted, options, *_ = line.split()
                if mounted != kind or (version == 1 and "memory" not in options.split(",")):
                    continue
                wanted = "memory" if version == 1 else ""
                own = next((path for _, names, path in groups if wanted in names.split(",")), None)
                if own is not None:
                    return Path(point), version, own
        return None, 0, ""


@dataclass(frozen=True, slots=True)
class _Room:
    """A limit of memory and what is used of it, bytes."""

    most_bytes: int
    used_bytes: int

    @property
    def share(self) -> float:
        return self.used_bytes / self.most_bytes

    @property
    def free_bytes(self) -> int:
        return max(0, self.most_bytes - self.used_bytes)


def _room_of_v2(folder: Path) -> _Room | None:
    return _room(folder / "memory.current", folder / "memory.max", folder / "memory.stat", "inactive_file")


def _room_of_v1(folder: Path) -> _Room | None:
    used, limit = folder / "memory.usage_in_bytes", folder / "memory.limit_in_bytes"
    return _room(used, limit, folder / "memory.stat", "total_inactive_file")


def _room(used: Path, limit: Path, details: Path, cache: str) -> _Room | None:
    """Give a limit and what is used of it, less page cache that the kernel would give back first."""
    most, taken = _number(limit), _number(used)
    # Without a limit version 1 says a number close to 2**63, version 2 says ``max``.
    if most is None or taken is None or most > os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"):
        return None
    # A group may be limited to nothing.
    return _Room(max(1, most), max(0, taken - (field_of(read_text(str(details)), cache) or 0)))


def _number(path: Path) -> int | None:
    text = (read_text(str(path)) or "").strip()
    return int(text) if text.isdigit() else None
