"""Segments: the runs of a script that began in a piece of time, kept a second time by column, for queries over many.

A segment is a copy. It stands for all runs of its name that began from ``from_at`` until before ``until_at``, as long
as its state says that it is whole; a change of any of them marks it in the same transaction (triggers of the schema),
and whoever asks reads the rows themselves again. Segments can be dropped at any time.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import sqlalchemy as sa

from scriptfleet.storage.metric import NUMBERS
from scriptfleet.storage.tables import segment_columns, segments

#: Before and after every moment there is.
ALWAYS: Final = (-1e300, 1e300)
#: What a segment has beside metrics: what the runs of a script are narrowed by.
MOMENT: Final = "began_at"
WORDS: Final = ("kind", "queue", "worker", "group_name", "outcome")
RUN_ID: Final = "run_id"
#: Before the name of a label: its value, where a run's job has it.
LABEL: Final = "label."
#: What a segment has instead where its runs have too many labels: rows tell who asks by one.
UNLABELLED: Final = "unlabelled"
#: Metrics that are columns of a run.
FLAT: Final = (*NUMBERS, "success")
_LISTED: Final = 500

Span = tuple[float, float]


class SegmentState(IntEnum):
    """Where a segment stands; triggers set CHANGED wherever it is more."""

    CHANGED = 0
    #: Announced, so that it is marked by what is written while its runs are read.
    MAKING = 1
    #: 2 was that of segments without labels and ids, which a service of an older version may still make and use: it
    #: knows no other, and those are none to this one. Either takes away what the other made.
    WHOLE = 3


@dataclass(frozen=True, slots=True)
class Segment:
    """The runs of ``name`` that began in a span of time."""

    segment_id: str
    name: str
    from_at: float
    until_at: float
    #: How many there are.
    runs: int

    def is_within(self, span: Span) -> bool:
        """Whether every run of it began in this span."""
        return span[0] <= self.from_at and self.until_at <= span[1]


_COLUMNS: Final = [segments.c[name] for name in ("segment_id", "name", "from_at", "until_at", "runs")]


def whole_segments(connection: sa.Connection, name: str | None = None, span: Span = ALWAYS) -> list[Segment]:
    """Give the segments that stand for runs of a script, or of all, in a span, by name and time."""
    wanted = sa.select(*_COLUMNS).where(segments.c.until_at > span[0], segments.c.from_at < span[1])
    wanted = wanted.where(segments.c.state == SegmentState.WHOLE)
    if name is not None:
        wanted = wanted.where(segments.c.name == name)
    return [Segment(*row) for row in connection.execute(wanted.order_by(segments.c.name, segments.c.until_at))]


def labelled_segments(connection: sa.Connection, found: Sequence[Segment]) -> list[Segment]:
    """Give those that hold the labels of their runs."""
    wanted = sa.select(segment_columns.c.segment_id).where(segment_columns.c.name == UNLABELLED)
    without: set[str] = set()
    for some in listed_at_once([one.segment_id for one in found]):
        without.update(connection.scalars(wanted.where(segment_columns.c.segment_id.in_(some))))
    return [one for one in found if one.segment_id not in without]


def by_name(found: Iterable[Segment]) -> dict[str, list[Segment]]:
    """Give segments by the script, in their order."""
    named: dict[str, list[Segment]] = defaultdict(list)
    for one in found:
        named[one.name].append(one)
    return named


def uncovered(covered: Sequence[Segment], span: Span) -> list[Span]:
    """Give what segments of one script, in order, leave of a span."""
    at, found = span[0], []
    for one in covered:
        if one.from_at > at:
            found.append((at, min(one.from_at, span[1])))
        at = max(at, one.until_at)
    return [*found, (at, span[1])] if at < span[1] else found


def drop_segments(connection: sa.Connection, segment_ids: Sequence[str]) -> int:
    """Delete segments; give how many of them there were."""
    dropped = 0
    for some in listed_at_once(segment_ids):
        connection.execute(sa.delete(segment_columns).where(segment_columns.c.segment_id.in_(some)))
        dropped += connection.execute(sa.delete(segments).where(segments.c.segment_id.in_(some))).rowcount
    return dropped


def listed_at_once(segment_ids: Sequence[str]) -> Iterator[Sequence[str]]:
    """Give as many at a time as a statement of any SQLite has parameters for."""
    for at in range(0, len(segment_ids), _LISTED):
        yield segment_ids[at : at + _LISTED]
