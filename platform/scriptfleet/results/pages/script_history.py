"""What the page of a script shows of its runs: trend with bands, regressions, hours of the week."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from scriptfleet.domain.regression import regressions
from scriptfleet.domain.state import FINAL, State
from scriptfleet.storage.bands import HOURS_OF_WEEK, Band, bands, first_moment, week
from scriptfleet.storage.distribution import aggregates
from scriptfleet.storage.engine import Database
from scriptfleet.storage.metric import Metric
from scriptfleet.storage.run_filter import RunFilter
from scriptfleet.storage.run_store import RunStore

DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_SHADES: Final = 5
_MOST_POINTS: Final = 100
_HOUR: Final = 3600
_DAY: Final = 24 * _HOUR
#: What a point of the trend may stand for, seconds, and what people call it.
_WIDTHS: Final = {
    1: "a second",
    10: "10 seconds",
    60: "a minute",
    300: "5 minutes",
    900: "15 minutes",
    _HOUR: "an hour",
    3 * _HOUR: "3 hours",
    12 * _HOUR: "12 hours",
    _DAY: "a day",
    7 * _DAY: "a week",
    28 * _DAY: "4 weeks",
    364 * _DAY: "52 weeks",
}


@dataclass(frozen=True, slots=True)
class Cell:
    """An hour of the week."""

    count: int
    #: Median wall time, seconds; None without a run that tells.
    wall_seconds: float | None
    #: 0 without runs, then 1 to 5.
    shade: int


class ScriptHistory:
    """Reads what is shown of the runs of a script in a range of time. Each method raises StoreUnreachable."""

    def __init__(self, database: Database, which: RunFilter, now: float) -> None:
        self._database, self._which, self._now = database, which, now
        self._wall = Metric("execution_time_seconds", which)

    def cards(self) -> dict[str, Any]:
        """Give the numbers at the top."""
        counts = RunStore(self._database).counts(self._which)
        ended = sum(count for state, count in counts.items() if state in FINAL)
        good = counts.get(State.SUCCEEDED, 0)
        wall = aggregates(self._database, self._wall, ("p50", "p95"))
        memory = aggregates(self._database, Metric("memory_max_mb", self._which), ("max",))
        return {
            "runs": sum(counts.values()),
            "success": f"{100 * good / ended:.1f} %" if ended else None,
            **wall,
            "memory": memory["max"],
        }

    def trend(self) -> dict[str, Any]:
        """Give the points of the chart, and since when the script has been slower."""
        first = first_moment(self._database, self._which)
        width = width_of(self._now - (self._now if first is None else first))
        found = {at: one for at, one in bands(self._database, self._wall, width).items() if one.p50 is not None}
        moments = list(found)
        slower = regressions([one.p50 for one in found.values() if one.p50 is not None])
        lines = [moments, [one.p50 for one in found.values()], [one.p95 for one in found.values()]]
        return {
            "chart": json.dumps(lines),
            "points": len(moments),
            "width": _WIDTHS[width],
            "slower": [(moments[one.place], one) for one in slower],
            "marks": json.dumps([moments[one.place] for one in slower]),
        }

    def hours(self) -> list[tuple[str, list[Cell]]]:
        """Give a row for each day of the week, of 24 hours in UTC; the shade tells how many runs there were."""
        cells = shaded(week(self._database, self._wall))
        return [(day, cells[24 * at : 24 * (at + 1)]) for at, day in enumerate(DAYS)]


def width_of(span_seconds: float) -> int:
    """Give how much time a point stands for, so that there are few enough of them."""
    return next((width for width in _WIDTHS if span_seconds / width < _MOST_POINTS), max(_WIDTHS))


def shaded(found: Mapping[int, Band]) -> list[Cell]:
    """Give the cells of all hours of the week."""
    most = max((one.runs for one in found.values()), default=1)
    empty = Band(0, None, None)
    return [
        Cell(one.runs, one.p50, math.ceil(_SHADES * one.runs / most))
        for one in (found.get(hour, empty) for hour in range(HOURS_OF_WEEK))
    ]
