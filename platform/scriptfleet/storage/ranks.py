"""Finds values by their place in the order of many, of which only some are known. Pure."""

import bisect
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Final

#: From the number of values to places among them in order, counted from 0.
Places = Callable[[int], Sequence[float]]
Bracket = tuple[float, float]

#: A rank lies outside its bracket once in some hundred samples; then brackets twice as wide are tried.
DEVIATIONS: Final = 3.0
_LEAST_SAMPLE: Final = 200


def brackets_of(sample: Sequence[float], places: Places, deviations: float) -> list[Bracket]:
    """Give intervals, apart from each other and in order, in which the values should lie; without a sample, one."""
    found: list[Bracket] = []
    size = len(sample)
    if size < _LEAST_SAMPLE:
        return [(-math.inf, math.inf)]
    for share in (place / size for place in places(size + 1)):
        margin = deviations * math.sqrt(size * share * (1 - share)) + deviations
        low, high = math.floor(size * share - margin), math.ceil(size * share + margin)
        low_value = sample[low] if low >= 0 else -math.inf
        high_value = sample[high] if high < size else math.inf
        if found and low_value <= found[-1][1]:
            low_value, high_value = found[-1][0], max(found.pop()[1], high_value)
        found.append((low_value, high_value))
    return found


class Ranked:
    """Values in order, each with its rank, where they are known."""

    def __init__(
        self,
        ordered: Sequence[float],
        brackets: Sequence[Bracket],
        below: Sequence[int],
        common: Mapping[float, int],
    ) -> None:
        """Take the values within brackets and how many lie below each; of common ones, how many are no greater."""
        self._parts: list[tuple[range, Sequence[float]]] = []
        for (low, high), before in zip(brackets, below, strict=False):
            inside = ordered[bisect.bisect_left(ordered, low) : bisect.bisect_right(ordered, high)]
            size = common[low] - before if low == high else len(inside)
            self._parts.append((range(before, before + size), [low] if low == high else inside))

    def at(self, place: float) -> float | None:
        """Give the value at a place, between two of them in proportion; None where one is not known."""
        low, high = self._at_rank(math.floor(place)), self._at_rank(math.ceil(place))
        return None if low is None or high is None else low + (high - low) * (place - math.floor(place))

    def _at_rank(self, rank: int) -> float | None:
        for ranks, values in self._parts:
            if rank in ranks:
                # A common value stands once for all its ranks.
                return values[min(rank - ranks.start, len(values) - 1)]
        return None
