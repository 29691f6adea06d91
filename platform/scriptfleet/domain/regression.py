"""Regressions: since when the runs of a script have been slower, read from the medians of like pieces of time. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from statistics import median
from typing import Final

#: Pieces of time that are compared, on each side.
WINDOW: Final = 5
#: Less is not worth a look.
_LEAST_RATIO: Final = 1.2


@dataclass(frozen=True, slots=True)
class Regression:
    """A step up that lasted."""

    #: Of the first slow piece, counted from 0.
    place: int
    #: Medians of the pieces on either side.
    before: float
    after: float

    @property
    def ratio(self) -> float:
        """How many times slower."""
        return self.after / self.before


def regressions(medians: Sequence[float]) -> list[Regression]:
    """Give the steps at which all of the next pieces are slower than all of those before.

    Five against five apart from each other come by chance once in 252 times (the exact test of Mann and Whitney, 1947,
    at its extreme); besides, the step has to be a fifth at least. Of steps side by side the clearest counts.
    """
    places = range(WINDOW, len(medians) - WINDOW + 1)
    gaps = {at: min(medians[at : at + WINDOW]) - max(medians[at - WINDOW : at]) for at in places}
    steps = [step for at in places if gaps[at] > 0 and (step := _step(medians, at)).after >= _LEAST_RATIO * step.before]
    runs_of_steps = groupby(enumerate(steps), key=lambda pair: pair[1].place - pair[0])
    return [max((step for _, step in beside), key=lambda step: gaps[step.place]) for _, beside in runs_of_steps]


def _step(medians: Sequence[float], at: int) -> Regression:
    return Regression(at, median(medians[at - WINDOW : at]), median(medians[at : at + WINDOW]))
