"""The runs of one script in the order in which they began: from segments and, where there is none, from rows."""

import math
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import compress, dropwhile, islice
from typing import Any, Final

import sqlalchemy as sa

from scriptfleet.storage.column_bytes import both, chosen
from scriptfleet.storage.columns import cover, in_holes, rows_in_holes
from scriptfleet.storage.matches import Part, parts, span_of, words_of
from scriptfleet.storage.metric import Metric
from scriptfleet.storage.paging import PageRequest, place_of
from scriptfleet.storage.run_filter import RunFilter
from scriptfleet.storage.segment_plan import Hole
from scriptfleet.storage.segments import MOMENT, RUN_ID, WORDS, Segment, listed_at_once
from scriptfleet.storage.tables import runs, segment_columns

#: Segments and spans without one, one after the other.
Stretches = Sequence[Segment | Hole]
#: When a run began, its id, and what else was asked for.
Told = tuple[Any, ...]
_KEYS: Final = (runs.c.began_at, runs.c.run_id)
_ROWS_AT_ONCE: Final = 1000


def stretches_of(connection: sa.Connection, which: RunFilter) -> Stretches | None:
    """Give what the runs of a script lie in, in order; None where rows alone tell, or more scripts are asked for."""
    covered = None if which.name is None else cover(connection, which)
    if covered is None:
        return None
    return sorted([*covered.segments, *covered.holes], key=_begins)


def values_in_order(
    connection: sa.Connection, metric: Metric, found: Stretches, limit: int | None, offset: int
) -> Iterator[Told]:
    """Give values, each with the moment and id of its run, the oldest first."""
    values = _Values(connection, metric, found, offset)
    return islice((told for stretch in found for told in values.of(stretch)), limit)


def newest(connection: sa.Connection, which: RunFilter, found: Stretches, names: Sequence[str]) -> Iterator[Told]:
    """Give runs with these columns of theirs, the last begun first."""
    for stretch in reversed(found):
        if isinstance(stretch, Hole):
            columns = [*_KEYS, *(runs.c[name] for name in names)]
            yield from _of_hole(connection, columns, which, stretch)
        else:
            for part in parts(connection, [stretch], which, [MOMENT, RUN_ID, *names]):
                yield from reversed(_told(part, names))


def newest_page(connection: sa.Connection, which: RunFilter, request: PageRequest) -> list[Told] | None:
    """Give the moments and ids of a page and of one run more; None where rows alone tell."""
    after = None if request.cursor is None else place_of(request.cursor)
    which = which if after is None else _up_to(which, after[0])
    found = stretches_of(connection, which)
    if found is None:
        return None
    told = newest(connection, which, found, ())
    return list(islice(told, request.limit + 1)) if after is None else _after(told, after, request.limit + 1)


def outcomes(connection: sa.Connection, which: RunFilter) -> Counter[str | None] | None:
    """Count runs of a script by outcome, None while they run; None where rows alone tell."""
    covered = None if which.name is None else cover(connection, which)
    if covered is None:
        return None
    counts: Counter[str | None] = Counter()
    for part in parts(connection, covered.segments, which, ["outcome"]):
        words = part.words("outcome")
        counts.update(words if part.rows is None else compress(words, part.rows))
    for rows in rows_in_holes(connection, [runs.c.outcome], which, covered.holes):
        counts.update(row.outcome for row in rows)
    return counts


def _begins(stretch: Segment | Hole) -> float:
    return stretch.span[0] if isinstance(stretch, Hole) else stretch.from_at


def _of_hole(connection: sa.Connection, columns: Sequence[Any], which: RunFilter, hole: Hole) -> Iterator[sa.Row[Any]]:
    order = (one.desc() for one in _KEYS)
    for wanted in in_holes(connection, columns, which, [hole]):
        yield from connection.execute(wanted.order_by(*order), execution_options={"yield_per": _ROWS_AT_ONCE})


def _told(part: Part, names: Sequence[str]) -> list[Told]:
    told = zip(part.moments(), part.ids(), *(_column(part, name) for name in names), strict=True)
    return list(told if part.rows is None else compress(told, part.rows))


def _column(part: Part, name: str) -> Sequence[object]:
    if name in WORDS:
        return part.words(name)
    numbers = part.numbers(name)
    if numbers.presence is None:
        return numbers.values
    values = iter(numbers.values)
    return [next(values) if there else None for there in numbers.presence]


def _up_to(which: RunFilter, moment: float) -> RunFilter:
    """Leave out what began after a moment."""
    until = min(math.nextafter(moment, math.inf), math.inf if which.until is None else which.until)
    return replace(which, until=until) if 0 <= until < math.inf else which


def _after(told: Iterator[Told], after: tuple[float, str], count: int) -> list[Told] | None:
    """Give what comes after a run; None where others began at its moment and it is gone: rows tell who is next."""
    told = dropwhile(lambda one: one[0] > after[0], told)
    found = list(islice(told, 1))
    are_others = False
    while found and found[0][0] == after[0]:
        if found[0][1] == after[1]:
            return list(islice(told, count))
        found, are_others = list(islice(told, 1)), True
    return None if are_others else [*found, *islice(told, count - 1)]


class _Values:
    """Reads the values of a metric, stretch by stretch, without the first ones."""

    def __init__(self, connection: sa.Connection, metric: Metric, found: Stretches, left_out: int) -> None:
        self._connection, self._metric, self._left_out = connection, metric, left_out
        self._counts = self._counted([one for one in found if isinstance(one, Segment)]) if left_out else {}

    def of(self, stretch: Segment | Hole) -> Iterable[Told]:
        """Give what is left of one, the oldest first."""
        if isinstance(stretch, Hole):
            return self._of_hole(stretch)
        count = self._counts.get(stretch.segment_id)
        if count is not None and count <= self._left_out:
            self._left_out -= count
            return ()
        names = [self._metric.name, MOMENT, RUN_ID]
        read = parts(self._connection, [stretch], self._metric.which, names)
        return (told for part in read for told in self._of_part(part))

    def _counted(self, found: Sequence[Segment]) -> dict[str, int]:
        """Give how many values segments have of which every run is meant."""
        span = span_of(self._metric.which)
        ids = [] if words_of(self._metric.which) else [one.segment_id for one in found if one.is_within(span)]
        counts = dict.fromkeys(ids, 0)
        wanted = sa.select(segment_columns.c.segment_id, segment_columns.c.count)
        wanted = wanted.where(segment_columns.c.name == self._metric.name)
        for some in listed_at_once(ids):
            rows = self._connection.execute(wanted.where(segment_columns.c.segment_id.in_(some)))
            counts.update({segment_id: int(count) for segment_id, count in rows})
        return counts

    def _of_part(self, part: Part) -> Iterable[Told]:
        numbers, rows = part.numbers(self._metric.name), part.rows
        some = numbers.presence
        if rows is not None:
            some = rows if some is None else both(some, rows)
            numbers = chosen(numbers, rows)
        left_out = min(self._left_out, len(numbers.values))
        self._left_out -= left_out
        if left_out == len(numbers.values):
            return ()
        moments, ids = part.moments(), part.ids()
        if some is not None:
            moments, ids = array("d", compress(moments, some)), list(compress(ids, some))
        return islice(zip(moments, ids, numbers.values, strict=True), left_out, None)

    def _of_hole(self, hole: Hole) -> Iterable[Told]:
        value = self._metric.column
        (wanted,) = in_holes(self._connection, [*_KEYS, value.label("value")], self._metric.which, [hole])
        wanted = wanted.where(value.is_not(None))
        if self._left_out:
            count = int(self._connection.scalar(sa.select(sa.func.count()).select_from(wanted.subquery())) or 0)
            if count <= self._left_out:
                self._left_out -= count
                return ()
        wanted, self._left_out = wanted.order_by(*_KEYS).offset(self._left_out), 0
        rows = self._connection.execute(wanted, execution_options={"yield_per": _ROWS_AT_ONCE})
        return map(tuple, rows)
