"""Where a run's curve lacks samples: its worker's host was too busy to take them, or stood still."""

import itertools
from collections.abc import Sequence
from statistics import median
from typing import Final, NamedTuple

#: Intervals on each side that say how often samples came there.
_AROUND: Final = 3
#: Of a host that is busy, a sample may come late by this much of an interval without any being missed.
_LATE: Final = 0.9


class Gap(NamedTuple):
    """A piece of a curve without samples. ``at`` is the index of the sample before it."""

    at: int
    seconds: float
    #: How many are missed, as samples came before and after.
    samples: int


def gaps_of(moments: Sequence[float]) -> list[Gap]:
    """Give the gaps of a curve, by the moments of its samples.

    Samples come more and more slowly while a run is young, and of a long curve some are kept: what was usual is read
    from the intervals around, the longer of those before and those after.
    """
    waits = [later - earlier for earlier, later in itertools.pairwise(moments)]
    found = []
    for at, wait in enumerate(waits):
        usual = max(_usual(waits[max(0, at - _AROUND) : at]), _usual(waits[at + 1 : at + 1 + _AROUND]))
        missed = round(wait / usual - _LATE) if usual > 0 else 0
        if missed > 1:
            found.append(Gap(at, wait, missed))
    return found


def _usual(waits: Sequence[float]) -> float:
    return median(waits) if waits else 0.0
