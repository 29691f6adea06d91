"""What the page of a script shows of its runs: trend with bands, hours of the week, outcomes. Pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import median
from typing import Final

from scriptfleet.storage.run_store import RunRow

_MOST_POINTS: Final = 60
_SHADES: Final = 5
DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


@dataclass(frozen=True, slots=True)
class Trend:
    """Runs in parts of like number, the oldest first. Wall times in seconds; moments since the epoch."""

    moments: list[float]
    p50: list[float]
    p95: list[float]


@dataclass(frozen=True, slots=True)
class Cell:
    """An hour of the week."""

    count: int
    #: Median wall time, seconds; None without a run that tells.
    wall_seconds: float | None
    #: 0 without runs, then 1 to 5.
    shade: int


def trend(runs: Sequence[RunRow]) -> Trend:
    """Give the median and the 95th percentile over time, of runs of which the newest comes first."""
    known = [(run.began_at, wall) for run in reversed(runs) if (wall := run.usage.execution_time_seconds) is not None]
    step = max(1, math.ceil(len(known) / _MOST_POINTS))
    parts = [known[at : at + step] for at in range(0, len(known), step)]
    walls = [sorted(wall for _, wall in part) for part in parts]
    return Trend(
        [part[-1][0] for part in parts],
        [percentile(one, 0.5) for one in walls],
        [percentile(one, 0.95) for one in walls],
    )


def percentile(ordered: Sequence[float], share: float) -> float:
    """Give the value below which that share of the values lies; between two, in proportion."""
    place = share * (len(ordered) - 1)
    low, high = ordered[math.floor(place)], ordered[math.ceil(place)]
    return low + (high - low) * (place - math.floor(place))


def hours(runs: Sequence[RunRow]) -> list[list[Cell]]:
    """Give a row for each day of the week, of 24 hours in UTC; the shade tells how many runs there were."""
    walls: list[list[list[float]]] = [[[] for _ in range(24)] for _ in DAYS]
    counts = [[0] * 24 for _ in DAYS]
    for run in runs:
        at = datetime.fromtimestamp(run.began_at, UTC)
        counts[at.weekday()][at.hour] += 1
        if run.usage.execution_time_seconds is not None:
            walls[at.weekday()][at.hour].append(run.usage.execution_time_seconds)
    most = max(max(row) for row in counts) or 1
    return [
        [
            Cell(count, median(wall) if wall else None, math.ceil(_SHADES * count / most))
            for count, wall in zip(counts[day], walls[day], strict=True)
        ]
        for day in range(len(DAYS))
    ]
