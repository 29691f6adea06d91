"""How values that come in pieces are spread, and in which piece of time each lies. Pure.

Each piece is sorted on its own. One value of some is a sample, which tells between which two values each wanted one
must lie; of all pieces only those between are put in one order.
"""

import math
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import compress, islice, repeat
from operator import ne, truediv
from typing import Final

from scriptfleet.storage.ranks import DEVIATIONS, Bracket, Places, Ranked, brackets_of

#: Up to so many values, one order of all is fastest.
_ORDERED_WHOLE: Final = 100_000
_SAMPLED: Final = 64
#: Pieces of time with fewer moments each are found by looking at each moment.
_FEW: Final = 20
#: Up to so many values are kept in memory, 8 bytes each, rather than read again.
_KEPT: Final = 2_000_000

#: Gives the values, a piece at a time, each time it is called.
Read = Callable[[], Iterable[Sequence[float]]]


@dataclass(frozen=True, slots=True)
class Summary:
    """What one pass tells. All but the count are None where there is no value."""

    count: int
    min: float | None
    max: float | None
    avg: float | None
    sum: float | None


def spread_of(read: Read, places: Places) -> tuple[Summary, list[float]]:
    """Give the summary, and the values at places in the sorted order; none of these where there is no value."""
    if not places(2):
        return _summed_up(read), []
    seen = _Seen(read)
    if not seen.count:
        return seen.summary(), []
    wanted = places(seen.count)
    sample = sorted(seen.sample) if seen.count > _ORDERED_WHOLE else []
    deviations = DEVIATIONS
    while True:
        ranked = _ranked(seen.ordered(), brackets_of(sample, places, deviations))
        values = [ranked.at(place) for place in wanted]
        if None not in values:
            return seen.summary(), [value for value in values if value is not None]
        deviations *= 2


def squares_of(read: Read, middle: float) -> float:
    """Give the sum of squares of how far values lie from one."""
    # A power of what is too large would be a fault, a product is infinite.
    return sum_of([sum_of([(value - middle) * (value - middle) for value in values]) for values in read()])


def sum_of(values: Sequence[float]) -> float:
    """Give the sum, exact to its last digit; beyond what a double holds it is infinite."""
    try:
        return math.fsum(values)
    except OverflowError:
        return float(sum(map(float, values)))


def parts_of(moments: Sequence[float], width_seconds: int) -> Iterator[tuple[int, int, int]]:
    """Give each piece of time that some of these moments, in order, lie in: its number, and from where to where."""
    if not moments:
        return iter(())
    are_few = (moments[-1] - moments[0]) * _FEW < len(moments) * width_seconds
    return _searched(moments, width_seconds) if are_few else _numbered(moments, width_seconds)


def _numbered(moments: Sequence[float], width_seconds: int) -> Iterator[tuple[int, int, int]]:
    """Look at each moment, without a step of Python for any."""
    numbers = [*map(math.floor, map(truediv, moments, repeat(width_seconds)))]
    starts = [0, *compress(range(1, len(numbers)), map(ne, islice(numbers, 1, None), numbers))]
    return zip(map(numbers.__getitem__, starts), starts, [*islice(starts, 1, None), len(numbers)], strict=True)


def _searched(moments: Sequence[float], width_seconds: int) -> Iterator[tuple[int, int, int]]:
    """Look for the end of each piece."""
    start, count = 0, len(moments)
    while start < count:
        this = math.floor(moments[start] / width_seconds)
        following = this + 1
        end = bisect_left(moments, following * width_seconds, start)
        # What is rounded lies on the side that the division says, as in the database.
        while end > start + 1 and moments[end - 1] / width_seconds >= following:
            end -= 1
        while end < count and moments[end] / width_seconds < following:
            end += 1
        yield this, start, end
        start = end


def _summed_up(read: Read) -> Summary:
    parts = [(len(values), min(values), max(values), sum_of(values)) for values in read() if values]
    return _summary(*zip(*parts, strict=True)) if parts else _NOTHING


def _summary(
    counts: Sequence[int], least: Sequence[float], greatest: Sequence[float], sums: Sequence[float]
) -> Summary:
    count, whole = sum(counts), sum_of(sums)
    return Summary(count, min(least), max(greatest), whole / count, whole)


_NOTHING: Final = Summary(0, None, None, None, None)


class _Seen:
    """One pass over the values: what sums them up, a sample, and the values themselves where they are not too many."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self.count = 0
        self.sample: list[float] = []
        self._sums: list[float] = []
        self._least: list[float] = []
        self._greatest: list[float] = []
        self._kept: list[Sequence[float]] | None = []
        for values in read():
            if values:
                self._take(sorted(values))

    def summary(self) -> Summary:
        return _summary([self.count], self._least, self._greatest, self._sums) if self.count else _NOTHING

    def ordered(self) -> Iterator[Sequence[float]]:
        """Give the values again, each piece in order."""
        if self._kept is not None:
            return iter(self._kept)
        return (sorted(values) for values in self._read() if values)

    def _take(self, ordered: list[float]) -> None:
        # The count goes on over the pieces, so that small ones have their share.
        self.sample += ordered[-self.count % _SAMPLED :: _SAMPLED]
        self.count += len(ordered)
        self._sums.append(sum_of(ordered))
        self._least.append(ordered[0])
        self._greatest.append(ordered[-1])
        if self.count > _KEPT:
            self._kept = None
        if self._kept is not None:
            self._kept.append(array("d", ordered))


def _ranked(pieces: Iterable[Sequence[float]], brackets: Sequence[Bracket]) -> Ranked:
    below, upto = [0] * len(brackets), [0] * len(brackets)
    inside: list[float] = []
    for ordered in pieces:
        for at, (low, high) in enumerate(brackets):
            start = bisect_left(ordered, low)
            below[at] += start
            if low == high:
                # They may be most of all.
                upto[at] += bisect_right(ordered, high, start)
            else:
                inside.extend(ordered[start : bisect_right(ordered, high, start)])
    common = {low: upto[at] for at, (low, high) in enumerate(brackets) if low == high}
    return Ranked(sorted(inside), brackets, below, common)
