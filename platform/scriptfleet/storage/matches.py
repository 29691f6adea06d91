"""What a filter means in segments: which of their runs it holds of."""

from array import array
from bisect import bisect_left
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa

from scriptfleet.domain.state import State
from scriptfleet.storage.column_bytes import Numbers, both, unpack_ids, unpack_numbers, unpack_words
from scriptfleet.storage.run_filter import RunFilter
from scriptfleet.storage.segments import ALWAYS, LABEL, MOMENT, RUN_ID, WORDS, Segment, Span
from scriptfleet.storage.tables import segment_columns

#: Segments that memory holds at a time.
SEGMENTS_AT_ONCE: Final = 50
#: A byte a run: 1 where it is meant.
Rows = bytes


@dataclass(frozen=True, slots=True)
class Part:
    """A segment, some of its columns, and which of its runs are meant."""

    segment: Segment
    packed: Mapping[str, bytes]
    #: None where all are.
    rows: Rows | None

    def count(self) -> int:
        """Give how many runs are meant."""
        return self.segment.runs if self.rows is None else self.rows.count(1)

    def numbers(self, name: str) -> Numbers:
        """Give the values of all runs, meant or not."""
        there = self.packed.get(name)
        return Numbers(array("d"), bytes(self.segment.runs)) if there is None else unpack_numbers(there)

    def moments(self) -> Sequence[float]:
        """Give when the runs began, meant or not, seconds since the epoch."""
        return unpack_numbers(self.packed[MOMENT]).values

    def ids(self) -> list[str]:
        """Give the ids of all runs, meant or not."""
        return unpack_ids(self.packed[RUN_ID])

    def words(self, name: str) -> Sequence[str | None]:
        """Give the words of all runs, meant or not."""
        found = unpack_words(self.packed[name])
        return [found.known[place] for place in found.places]


def span_of(which: RunFilter) -> Span:
    """Give from when until when runs are asked for."""
    return (
        ALWAYS[0] if which.since is None else which.since,
        ALWAYS[1] if which.until is None else which.until,
    )


def words_of(which: RunFilter) -> dict[str, str | None]:
    """Give what a filter says beside the script's name and the span, by columns of segments."""
    asked = {name: getattr(which, name) for name in WORDS if getattr(which, name) is not None}
    found = {name: None if value is State.RUNNING else str(value) for name, value in asked.items()}
    if which.label is not None:
        found[f"{LABEL}{which.label[0]}"] = which.label[1]
    return found


def packed_of(
    connection: sa.Connection, found: Sequence[Segment], names: Collection[str]
) -> dict[str, dict[str, bytes]]:
    """Give columns of segments, those that there are, by segment and name."""
    packed: dict[str, dict[str, bytes]] = {one.segment_id: {} for one in found}
    wanted = sa.select(segment_columns.c.segment_id, segment_columns.c.name, segment_columns.c.packed)
    wanted = wanted.where(segment_columns.c.segment_id.in_(packed), segment_columns.c.name.in_(names))
    for segment_id, name, body in connection.execute(wanted) if packed and names else ():
        packed[segment_id][name] = bytes(body)
    return packed


def parts(
    connection: sa.Connection,
    found: Sequence[Segment],
    which: RunFilter,
    names: Sequence[str],
    at_once: int = SEGMENTS_AT_ONCE,
) -> Iterator[Part]:
    """Give the segments of which some runs are meant, in their order, with these columns."""
    span, words = span_of(which), words_of(which)
    for at in range(0, len(found), at_once):
        some = [one for one in found[at : at + at_once] if one.runs]
        is_within = all(one.is_within(span) for one in some)
        packed = packed_of(connection, some, {*names, *words, *(() if is_within else (MOMENT,))})
        for one in some:
            rows = _rows(one, packed[one.segment_id], span, words)
            if rows is None or 1 in rows:
                yield Part(one, packed[one.segment_id], rows)


def _rows(segment: Segment, packed: Mapping[str, bytes], span: Span, words: Mapping[str, str | None]) -> Rows | None:
    rows = None if segment.is_within(span) else _between(unpack_numbers(packed[MOMENT]).values, span)
    for name, word in words.items():
        # No run has a label that is not there.
        same = unpack_words(packed[name]).equal(word) if name in packed else bytes(segment.runs)
        if same is not None:
            rows = same if rows is None else both(rows, same)
    return rows


def _between(moments: Sequence[float], span: Span) -> Rows:
    low, high = (bisect_left(moments, moment) for moment in span)
    return bytes(low) + b"\1" * (high - low) + bytes(len(moments) - high)
