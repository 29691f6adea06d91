"""How busy this machine is, from /proc; for memory also the control group that this worker lives in, as a container."""

import os
from dataclasses import dataclass
from pathlib import Path

from scriptfleet.execution.cgroups.group import field_of, read_text


@dataclass(frozen=True, slots=True)
class Load:
    """One look. None where the machine does not say."""

    #: Share of all cores together that was busy since the look before, percent.
    cpu_percent: float | None
    #: Memory that is not available without swapping, percent; of the container where that is fuller.
    memory_percent: float | None


class HostLoad:
    """Reads the load; each look gives the CPU's share since the one before."""

    def __init__(self, proc: Path = Path("/proc")) -> None:
        self._proc = proc
        self._before = self._cpu_times()

    def look(self) -> Load:
        """Read it now."""
        return Load(self._cpu_percent(), self._memory_percent())

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

    def _memory_percent(self) -> float | None:
        shares = [share for share in (self._host_share(), *self._group_shares()) if share is not None]
        return 100.0 * max(shares) if shares else None

    def _host_share(self) -> float | None:
        sizes = self._meminfo()
        total, available = sizes.get("MemTotal"), sizes.get("MemAvailable")
        return None if not total or available is None else 1 - available / total

    def _meminfo(self) -> dict[str, int]:
        lines = (read_text(f"{self._proc}/meminfo") or "").splitlines()
        pairs = (line.split(":", 1) for line in lines if ":" in line)
        return {name: int(rest.split()[0]) for name, rest in pairs}

    def _group_shares(self) -> list[float]:
        """Give how full each memory limit on the way up from this process's own group is."""
        point, version, own = self._memory_group()
        if point is None:
            return []
        folder, shares = point / own.strip("/"), []
        for place in (folder, *folder.parents):
            share = _share_of_v2(place) if version == 2 else _share_of_v1(place)  # noqa: PLR2004
            shares.append(share)
            if place == point:
                break
        return [share for share in shares if share is not None]

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


def _share_of_v2(folder: Path) -> float | None:
    return _share(folder / "memory.current", folder / "memory.max", folder / "memory.stat", "inactive_file")


def _share_of_v1(folder: Path) -> float | None:
    used, limit = folder / "memory.usage_in_bytes", folder / "memory.limit_in_bytes"
    return _share(used, limit, folder / "memory.stat", "total_inactive_file")


def _share(used: Path, limit: Path, details: Path, cache: str) -> float | None:
    """Give the share of a limit that is used, less page cache that the kernel would give back first."""
    most, taken = _number(limit), _number(used)
    # Without a limit version 1 says a number close to 2**63, version 2 says ``max``.
    if most is None or taken is None or most > os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"):
        return None
    return max(0, taken - (field_of(read_text(str(details)), cache) or 0)) / most


def _number(path: Path) -> int | None:
    text = (read_text(str(path)) or "").strip()
    return int(text) if text.isdigit() else None
