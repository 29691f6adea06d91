"""The values of a metric, read by column: from segments where they stand for the runs, from rows where none does."""

from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import compress
from operator import itemgetter
from typing import Any, Final

import sqlalchemy as sa

from scriptfleet.storage.column_bytes import both, chosen, unpack_numbers
from scriptfleet.storage.matches import Part, packed_of, parts, span_of, words_of
from scriptfleet.storage.metric import Metric
from scriptfleet.storage.run_filter import RunFilter, conditions_of
from scriptfleet.storage.script_names import MOST_LOOKED_AT, first_names
from scriptfleet.storage.segment_plan import Hole, in_hole, listed_holes
from scriptfleet.storage.segments import (
    ALWAYS,
    MOMENT,
    Segment,
    Span,
    by_name,
    labelled_segments,
    listed_at_once,
    uncovered,
    whole_segments,
)
from scriptfleet.storage.tables import runs, segment_columns

#: Rows that memory holds at a time.
_ROWS_AT_ONCE: Final = 5_000
_MOMENT_OF_ROW: Final = itemgetter(0)


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
    if which.job_id is not None or (which.name is None and words_of(which)):
        return None
    span = span_of(which)
    found = whole_segments(connection, which.name, span)
    if which.label is not None:
        found = labelled_segments(connection, found)
    if not found or (which.name is None and not _is_mostly_within(found, span)):
        return None
    return _covered(connection, which, found)


def counts_of(connection: sa.Connection, found: Sequence[Segment]) -> dict[str, int]:
    """Give how many runs of segments have each metric."""
    total, counts = sa.func.sum(segment_columns.c.count), Counter[str]()
    wanted = sa.select(segment_columns.c.name, total).group_by(segment_columns.c.name)
    for some in listed_at_once([one.segment_id for one in found]):
        rows = connection.execute(wanted.where(segment_columns.c.segment_id.in_(some)))
        counts.update({name: int(count) for name, count in rows})
    return counts


def counts_within(connection: sa.Connection, which: RunFilter, found: Sequence[Segment]) -> dict[str, int]:
    """Give how many of the runs that are meant, of segments, have each metric."""
    is_narrowed, span = bool(words_of(which)), span_of(which)
    of_some = [one for one in found if is_narrowed or not one.is_within(span)]
    counts = Counter(counts_of(connection, [one for one in found if one not in of_some]))
    for part in parts(connection, of_some, which, ()):
        counts.update(_counts_of_part(connection, part))
    return counts


def _counts_of_part(connection: sa.Connection, part: Part) -> dict[str, int]:
    if part.rows is None:
        return counts_of(connection, [part.segment])
    wanted = sa.select(segment_columns.c.name, segment_columns.c.count)
    rows = connection.execute(wanted.where(segment_columns.c.segment_id == part.segment.segment_id))
    known = {name: int(count) for name, count in rows}
    gaps = [name for name, count in known.items() if count < part.segment.runs]
    found = dict.fromkeys(known, part.count())
    for name, packed in packed_of(connection, [part.segment], gaps)[part.segment.segment_id].items():
        found[name] = both(unpack_numbers(packed).presence or part.rows, part.rows).count(1)
    return found


def pieces(connection: sa.Connection, metric: Metric, found: Cover, *, has_moments: bool = False) -> Iterator[Piece]:
    """Give all runs that were asked for in pieces, in no order; a connection of Database.snapshot() sees each once."""
    for part in parts(connection, found.segments, metric.which, [metric.name, *([MOMENT] if has_moments else [])]):
        yield _piece(part, metric.name, part.moments() if has_moments else ())
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


def _is_mostly_within(found: Sequence[Segment], span: Span) -> bool:
    # To read whole segments for a small part of each is slower than to read the rows by their moment.
    within = sum(one.runs for one in found if one.is_within(span))
    return 2 * within >= sum(one.runs for one in found)


def _covered(connection: sa.Connection, which: RunFilter, found: list[Segment]) -> Cover | None:
    names = _names(connection, found) if which.name is None else [which.name]
    covered, span = by_name(found), span_of(which)
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


def _piece(part: Part, name: str, moments: Sequence[float]) -> Piece:
    numbers, rows = part.numbers(name), part.rows
    if rows is not None:
        numbers, moments = chosen(numbers, rows), array("d", compress(moments, rows))
    of_values = moments if numbers.presence is None else array("d", compress(moments, numbers.presence))
    return Piece(moments, of_values, numbers.values)


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
