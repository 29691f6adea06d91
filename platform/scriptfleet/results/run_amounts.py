"""What is counted of a run for Prometheus, in base units."""

import math
from bisect import bisect_left
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Final, NamedTuple

from prometheus_client.utils import floatToGoString

from scriptfleet.storage.run_row import FinishedRow, measures_of

_MIB: Final = 1024 * 1024
_measures: Final = measures_of("execution_time_seconds", "user_time_seconds", "system_time_seconds", "memory_max_mb")


_spelled: Final[Callable[[float], str]] = floatToGoString


class RunAmounts(NamedTuple):
    """Of one run. An amount is finite and not below 0; None where it is unknown or no amount."""

    outcome: str
    kind: str
    name: str | None
    #: Seconds since the epoch, by the broker's clock.
    ended_at: float
    duration_seconds: float | None
    cpu_seconds: float | None
    memory_bytes: float | None


def amounts_of(row: FinishedRow) -> RunAmounts:
    """Give what is counted of a run."""
    wall, user, system, memory = _measures(row)
    cpu = None if user is None or system is None else user + system
    memory_bytes = None if memory is None else memory * _MIB
    return RunAmounts(
        str(row.record.outcome),
        row.kind or "unknown",
        row.name,
        row.finished_at,
        _amount(wall),
        _amount(cpu),
        _amount(memory_bytes),
    )


def _amount(value: float | None) -> float | None:
    # One value that is not finite would make a sum useless for as long as the process lives.
    return value if value is not None and 0 <= value < math.inf else None


class Spread:
    """Counts amounts by the least bound that is not below each."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = [*bounds, math.inf]
        self._counts = [0] * len(self._bounds)
        #: Of all amounts.
        self.sum = 0.0

    def observe(self, value: float | None) -> None:
        """Count an amount that is known."""
        if value is not None:
            self._counts[bisect_left(self._bounds, value)] += 1
            self.sum += value

    def cumulated(self) -> list[tuple[str, float]]:
        """Give each bound as Prometheus spells it, with how many amounts are not above it."""
        return [(_spelled(bound), count) for bound, count in zip(self._bounds, accumulate(self._counts), strict=True)]
