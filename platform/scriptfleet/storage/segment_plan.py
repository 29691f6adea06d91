"""What is to be made into segments next: runs of a script that lie in none, once there are enough of them.

A segment that ended small is made anew, larger, when as many runs have come after it as make that worth it: each run is
read three times at most, and a script has some dozen small segments at most.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from scriptfleet.storage.script_names import first_names
from scriptfleet.storage.segments import ALWAYS, Segment, Span, by_name, uncovered, whole_segments
from scriptfleet.storage.tables import runs

#: Runs of a segment, at most, but where more began at one moment.
MOST_RUNS: Final = 4096
#: Fewer runs are read from their rows.
LEAST_RUNS: Final = 64
#: Small ones are joined once they have so many runs together.
_STEPS: Final = (512, MOST_RUNS)
#: So long a run under way keeps those of its script that began after it out of segments: its end would change one.
_WAITED_FOR_SECONDS: Final = 7 * 86_400.0


@dataclass(frozen=True, slots=True)
class Stretch:
    """Runs of a script to be made into segments, in the place of those that are there."""

    name: str
    span: Span
    replaced: tuple[Segment, ...]


@dataclass(frozen=True, slots=True)
class Hole:
    """A span of a script without a segment; of runs without a name where it is None."""

    name: str | None
    span: Span


def stretches(connection: sa.Connection, until: float) -> Iterator[Stretch]:
    """Give what is to be made of runs that began before a moment, the busiest place of each script last."""
    covered = by_name(whole_segments(connection))
    bounds = _first_under_way(connection, until)
    names = sorted({*first_names(connection), *covered})
    holes = [
        Hole(name, span)
        for name in names
        for span in uncovered(covered.get(name, ()), (ALWAYS[0], min(until, bounds.get(name, until))))
    ]
    for hole, count in zip(holes, _counts(connection, holes), strict=True):
        if count >= LEAST_RUNS:
            yield _with_small_ones(str(hole.name), hole.span, count, covered.get(hole.name or "", ()))


def _with_small_ones(name: str, span: Span, count: int, covered: Sequence[Segment]) -> Stretch:
    """Take the small segments right before a hole with it, where that makes one of the next size."""
    before = _right_before(span[0], covered)
    replaced: list[Segment] = []
    for step in _STEPS:
        small = [*_while_smaller(before, step)]
        if small and count + sum(one.runs for one in small) >= step:
            replaced = small
    low = min((one.from_at for one in replaced), default=span[0])
    return Stretch(name, (low, span[1]), tuple(replaced))


def _right_before(moment: float, covered: Sequence[Segment]) -> list[Segment]:
    found: list[Segment] = []
    for one in reversed(covered):
        if one.until_at == moment:
            found.append(one)
            moment = one.from_at
    return found


def _while_smaller(before: Iterable[Segment], runs_of_it: int) -> Iterator[Segment]:
    for one in before:
        if one.runs >= runs_of_it:
            return
        yield one


def _first_under_way(connection: sa.Connection, until: float) -> dict[str, float]:
    is_open = runs.c.outcome.is_(None) & (runs.c.began_at >= until - _WAITED_FOR_SECONDS) & (runs.c.began_at < until)
    wanted = sa.select(runs.c.name, sa.func.min(runs.c.began_at)).where(is_open).group_by(runs.c.name)
    return {str(name): float(first) for name, first in connection.execute(wanted)}


def _counts(connection: sa.Connection, holes: Sequence[Hole]) -> list[int]:
    """Give how many runs each hole has, up to as many as a segment takes."""
    if not holes:
        return []
    listed = listed_holes(connection.dialect.name, holes)
    some = sa.select(sa.literal(1).label("one")).where(in_hole(listed)).limit(MOST_RUNS).correlate(listed).subquery()
    count = sa.select(sa.func.count()).select_from(some).scalar_subquery()
    return [int(found) for found in connection.scalars(sa.select(count).select_from(listed).order_by(listed.c.place))]


def listed_holes(dialect: str, holes: Sequence[Hole]) -> sa.Subquery:
    """Give holes as a table of ``place``, ``name``, ``low`` and ``high``: one parameter, however many they are."""
    rows = json.dumps([[at, one.name, *one.span] for at, one in enumerate(holes)])
    if dialect == "postgresql":
        each = sa.func.json_array_elements(sa.cast(sa.literal(rows), postgresql.JSON)).column_valued("hole")
        parts: list[sa.ColumnElement[Any]] = [each.op("->>")(sa.literal_column(str(at))) for at in range(len(_OF_HOLE))]
    else:
        hole = sa.func.json_each(rows).table_valued("value", name="hole").c.value
        parts = [sa.func.json_extract(hole, sa.literal_column(f"'$[{at}]'")) for at in range(len(_OF_HOLE))]
    typed = zip(parts, _OF_HOLE.items(), strict=True)
    return sa.select(*(sa.cast(part, kind).label(name) for part, (name, kind) in typed)).subquery("holes")


_OF_HOLE: Final = {"place": sa.Integer, "name": sa.Text, "low": sa.Double, "high": sa.Double}


def in_hole(listed: sa.Subquery) -> sa.ColumnElement[bool]:
    """Give the condition that a run is of a listed hole."""
    return (runs.c.name == listed.c.name) & (runs.c.began_at >= listed.c.low) & (runs.c.began_at < listed.c.high)
