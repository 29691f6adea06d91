"""The values of a metric, read by column: from segments where they stand for the runs, from rows where none does."""

from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import compress
from operator import and_, itemgetter
from typing import Any, Final

import sqlalchemy as sa

from scriptfleet.domain.state import State
from scriptfleet.storage.column_bytes import Numbers, chosen, unpack_numbers, unpack_words
from scriptfleet.storage.metric import Metric
from scriptfleet.storage.run_store import RunFilter, conditions_of
from scriptfleet.storage.script_names import MOST_LOOKED_AT, first_names
from scriptfleet.storage.segment_plan import Hole, in_hole, listed_holes
from scriptfleet.storage.segments import (
    ALWAYS,
    MOMENT,
    WORDS,
    Segment,
    Span,
    by_name,
    listed_at_once,
    uncovered,
    whole_segments,
)
from scriptfleet.storage.tables import runs, segment_columns

#: Segments and rows that memory holds at a time.
_SEGMENTS_AT_ONCE: Final = 50
_ROWS_AT_ONCE: Final = 5_000
_MOMENT_OF_ROW: Final = itemgetter(0)
#: Columns of segments by segment and name.
_Packed = Mapping[tuple[str, str], bytes]


@dataclass(frozen=True, slots=True)
class Piece:
    """Some of the runs that were asked for, in the order in which they began."""

    #: When each run began, seconds since the epoch; empty where nobody asked.
    moments: Sequence[float]
    #: The same of those that have a value.
    moments_of_values: Sequence[float]
    values: Sequence[float]


@dataclass(frozen=True, slots=True)
class Cover:
    """What segments have of the runs that were asked for, and what is left to rows."""

    segments: list[Segment]
    holes: list[Hole]


def cover(connection: sa.Connection, which: RunFilter) -> Cover | None:
    """Give what segments have of these runs; None where rows alone tell, or are asked faster."""
    if which.job_id is not None or which.label is not None or (which.name is None and _words_of(which)):
        return None
    span = _span(which)
    found = whole_segments(connection, which.name, span)
    if not found or (which.name is None and not _is_mostly_within(found, span)):
        return None
    return _covered(connection, which, found)


def whole_cover(connection: sa.Connection, which: RunFilter) -> Cover | None:
    """Do what cover() does, with segments alone of which every run was asked for."""
    found = None if _words_of(which) else cover(connection, which)
    if found is None:
        return None
    span = _span(which)
    return _covered(connection, which, [one for one in found.segments if one.is_within(span)])


def counts_of(connection: sa.Connection, found: Sequence[Segment]) -> dict[str, int]:
    """Give how many runs of segments have each metric."""
    total, counts = sa.func.sum(segment_columns.c.count), Counter[str]()
    wanted = sa.select(segment_columns.c.name, total).group_by(segment_columns.c.name)
    for some in listed_at_once([one.segment_id for one in found]):
        rows = connection.execute(wanted.where(segment_columns.c.segment_id.in_(some)))
        counts.update({name: int(count) for name, count in rows})
    return counts


def pieces(connection: sa.Connection, metric: Metric, found: Cover, *, has_moments: bool = False) -> Iterator[Piece]:
    """Give all runs that were asked for in pieces, in no order; a connection of Database.snapshot() sees each once."""
    yield from _of_segments(connection, metric, found.segments, has_moments)
    for rows in rows_in_holes(connection, [runs.c.began_at, metric.column.label("value")], metric.which, found.holes):
        yield _of_rows(sorted(rows, key=_MOMENT_OF_ROW))


def in_holes(connection: sa.Connection, columns: Sequence[Any], which: RunFilter, holes: Sequence[Hole]) -> list[Any]:
    """Give selects of columns of the runs in holes, by one index; ``which`` narrows them, whatever its span."""
    own = conditions_of(replace(which, since=None, until=None))
    if which.name is not None:
        return [sa.select(*columns).where(*own, *_began_in(one.span)) for one in holes]
    nameless = [one for one in holes if one.name is None]
    found = [sa.select(*columns).where(runs.c.name.is_(None), *_began_in(one.span)) for one in nameless]
    listed = listed_holes(connection.dialect.name, [one for one in holes if one.name is not None])
    inner = sa.select(*columns).where(in_hole(listed)).select_from(runs)
    if connection.dialect.name == "postgresql":
        # Without a bound of its own it would be one join, of which PostgreSQL, not knowing the holes, expects too much.
        part = inner.correlate(listed).offset(0).lateral("part")
        return [*found, sa.select(*part.c).select_from(listed.join(part, sa.true()))]
    return [*found, sa.select(*columns).select_from(listed.join(runs, in_hole(listed)))]


def _span(which: RunFilter) -> Span:
    return (
        ALWAYS[0] if which.since is None else which.since,
        ALWAYS[1] if which.until is None else which.until,
    )


def _words_of(which: RunFilter) -> dict[str, str | None]:
    asked = {name: getattr(which, name) for name in WORDS if getattr(which, name) is not None}
    return {name: None if value is State.RUNNING else str(value) for name, value in asked.items()}


def _is_mostly_within(found: Sequence[Segment], span: Span) -> bool:
    # To read whole segments for a small part of each is slower than to read the rows by their moment.
    within = sum(one.runs for one in found if one.is_within(span))
    return 2 * within >= sum(one.runs for one in found)


def _covered(connection: sa.Connection, which: RunFilter, found: list[Segment]) -> Cover | None:
    names = _names(connection, found) if which.name is None else [which.name]
    covered, span = by_name(found), _span(which)
    # Runs without a name are in no segment, unlike those of a script whose name is empty.
    left = {name: uncovered(() if name is None else covered.get(name, ()), span) for name in names}
    holes = [Hole(name, one) for name in names for one in left[name]]
    return Cover(found, holes) if names else None


def _names(connection: sa.Connection, found: Sequence[Segment]) -> list[str | None]:
    """Give the names of all runs, None for those that have none; nothing where they are too many."""
    names = first_names(connection)
    return [] if len(names) == MOST_LOOKED_AT else [None, *dict.fromkeys([*names, *(one.name for one in found)])]


def _began_in(span: Span) -> tuple[sa.ColumnElement[bool], ...]:
    low, high = span
    since = () if low == ALWAYS[0] else (runs.c.began_at >= low,)
    return since if high == ALWAYS[1] else (*since, runs.c.began_at < high)


def _of_segments(
    connection: sa.Connection, metric: Metric, found: Sequence[Segment], has_moments: bool
) -> Iterator[Piece]:
    span, words = _span(metric.which), _words_of(metric.which)
    for at in range(0, len(found), _SEGMENTS_AT_ONCE):
        part = found[at : at + _SEGMENTS_AT_ONCE]
        has_all = not has_moments and all(one.is_within(span) for one in part)
        packed = _packed(connection, part, [metric.name, *words, *([] if has_all else [MOMENT])])
        for one in part:
            if one.runs:
                yield _piece(one, packed, metric.name, span, words)


def _packed(connection: sa.Connection, found: Sequence[Segment], names: Sequence[str]) -> _Packed:
    wanted = sa.select(segment_columns.c.segment_id, segment_columns.c.name, segment_columns.c.packed)
    wanted = wanted.where(segment_columns.c.segment_id.in_([one.segment_id for one in found]))
    rows = connection.execute(wanted.where(segment_columns.c.name.in_(names)))
    return {(segment_id, name): bytes(packed) for segment_id, name, packed in rows}


def _piece(segment: Segment, packed: _Packed, name: str, span: Span, words: Mapping[str, str | None]) -> Piece:
    there = packed.get((segment.segment_id, name))
    numbers = Numbers(array("d"), bytes(segment.runs)) if there is None else unpack_numbers(there)
    told = packed.get((segment.segment_id, MOMENT))
    moments = array("d") if told is None else unpack_numbers(told).values
    rows = None if segment.is_within(span) else _between(moments, span)
    for word_name, word in words.items():
        same = unpack_words(packed[segment.segment_id, word_name]).equal(word)
        rows = same if rows is None else bytes(map(and_, rows, same))
    if rows is not None:
        numbers, moments = chosen(numbers, rows), array("d", compress(moments, rows))
    of_values = moments if numbers.presence is None else array("d", compress(moments, numbers.presence))
    return Piece(moments, of_values, numbers.values)


def _between(moments: Sequence[float], span: Span) -> bytes:
    low, high = (bisect_left(moments, moment) for moment in span)
    return bytes(low) + b"\1" * (high - low) + bytes(len(moments) - high)


def rows_in_holes(
    connection: sa.Connection, columns: Sequence[Any], which: RunFilter, holes: Sequence[Hole]
) -> Iterator[Sequence[sa.Row[Any]]]:
    """Give columns of the runs in holes, some thousand at a time."""
    for wanted in in_holes(connection, columns, which, holes):
        yield from connection.execute(wanted, execution_options={"yield_per": _ROWS_AT_ONCE}).partitions()


def _of_rows(rows: Sequence[sa.Row[Any]]) -> Piece:
    some = [row for row in rows if row.value is not None]
    moments = [row.began_at for row in rows]
    return Piece(moments, [row.began_at for row in some], [row.value for row in some])
