"""Makes segments from the rows of runs, off the way of whoever writes: what is written meanwhile wins.

Three steps, each a transaction. A segment is announced; from then on the triggers of the schema mark it when a run of
its span changes. Once nobody writes any more who began before that - at once on SQLite, which has one writer - its runs
are read. Then its columns are stored and it is made whole, unless it was marked.
"""

import threading
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import islice
from typing import Any, Final

import sqlalchemy as sa

from scriptfleet.storage.column_bytes import Number, pack_ids, pack_numbers, pack_words
from scriptfleet.storage.engine import Database
from scriptfleet.storage.metric import CUSTOM, metric_column
from scriptfleet.storage.segment_plan import MOST_RUNS, Stretch, stretches
from scriptfleet.storage.segments import (
    ALWAYS,
    FLAT,
    LABEL,
    MOMENT,
    RUN_ID,
    UNLABELLED,
    WORDS,
    SegmentState,
    Span,
    drop_segments,
    whole_segments,
)
from scriptfleet.storage.tables import labels, runs, segment_columns, segments, upkeep

#: Runs that began within this time are not taken: facts of most come late, at their end.
SETTLED_SECONDS: Final = 900.0
#: More runs than this that began at one moment, and those that report this many different metrics, or one of so long a
#: name as nothing can be asked by and no index of PostgreSQL takes, stay rows.
_MOST_READ: Final = 4 * MOST_RUNS
_MOST_COLUMNS: Final = 1000
#: Runs with more labels, or labels of more names, such as one of its own for each job, are found by them in rows.
_MOST_LABELS: Final = 100_000
_MOST_LABEL_NAMES: Final = 200
_LONGEST_NAME: Final = len(CUSTOM) + 255
_TASK: Final = "segments"
_PATIENCE_SECONDS: Final = 5.0
_LOOK_AGAIN_SECONDS: Final = 0.02
#: Any number, the same in all versions: segments are made whole one after the other.
_LOCK: Final = 7_251_530_418

Columns = dict[str, tuple[int, bytes]]
#: Labels by name; of each its values by job.
Labelled = dict[str, dict[str, str]]


def take_turn(database: Database, now: float, until: float) -> bool:
    """Take the work until a moment; of several services that try, one is given True. Raises StoreUnreachable."""
    insert = database.insert_into(upkeep).values(task=_TASK, next_at=until)
    take = insert.on_conflict_do_update(index_elements=["task"], set_={"next_at": until}, where=upkeep.c.next_at <= now)
    with database.writing() as connection:
        return connection.execute(take).rowcount == 1


def make_segments(
    database: Database, now: float, is_stopping: Callable[[], bool] = lambda: False, limit: int | None = None
) -> int:
    """Make what segments there should be of runs that began before ``SETTLED_SECONDS`` ago, up to a number of them.

    Gives how many runs were taken. It may be ended at any time, and begun again. Raises StoreUnreachable.
    """
    _drop_changed(database)
    with database.reading() as connection:
        planned = list(stretches(connection, now - SETTLED_SECONDS))
    made = (taken for stretch in planned for taken in _made_of(database, stretch))
    total = 0
    for taken in islice(made, limit):
        total += taken
        if is_stopping():
            break
    return total


def drop_all(database: Database) -> int:
    """Delete all segments, which are made again in time; give how many there were. Raises StoreUnreachable."""
    with database.writing() as connection:
        # In this order: one that is made whole at this moment is waited for, and its columns are there then.
        dropped = connection.execute(sa.delete(segments)).rowcount
        connection.execute(sa.delete(segment_columns))
        return dropped


def _drop_changed(database: Database) -> None:
    """Delete those that are no longer right, and those that a service which ended had announced."""
    wanted = sa.select(segments.c.segment_id).where(segments.c.state != SegmentState.WHOLE)
    with database.writing() as connection:
        # One that is made whole at this moment stays.
        wanted = wanted.with_for_update(skip_locked=True)
        drop_segments(connection, list(connection.scalars(wanted)))


def _made_of(database: Database, stretch: Stretch) -> Iterator[int]:
    """Make the segments of a stretch; give how many runs each one has, 0 for the one that could not be made."""
    low, high = stretch.span
    if low == ALWAYS[0]:
        # So that a query since a moment before it finds all of it within.
        with database.reading() as connection:
            first = connection.scalar(sa.select(sa.func.min(runs.c.began_at)).where(runs.c.name == stretch.name))
        low = high if first is None else float(first)
    while low < high:
        with database.reading() as connection:
            end = _end_of(connection, stretch.name, (low, high))
        replaced = tuple(one for one in stretch.replaced if low <= one.from_at < end)
        taken = _made(database, Stretch(stretch.name, (low, end), replaced))
        yield taken or 0
        if taken is None:
            return
        low = end


def _end_of(connection: sa.Connection, name: str, span: Span) -> float:
    """Give where a segment ends that begins with a span: before the run that is one too many, or with the span."""
    here = (runs.c.name == name) & (runs.c.began_at >= span[0]) & (runs.c.began_at < span[1])
    moments = sa.select(runs.c.began_at).where(here).order_by(runs.c.began_at)
    end = connection.scalar(moments.offset(MOST_RUNS).limit(1))
    if end is None:
        return span[1]
    if connection.scalar(moments.limit(1)) < end:
        return float(end)
    later = connection.scalar(sa.select(sa.func.min(runs.c.began_at)).where(here, runs.c.began_at > end))
    return span[1] if later is None else float(later)


def _made(database: Database, stretch: Stretch) -> int | None:
    """Make one segment; None where something came between, or where it cannot be."""
    segment_id = _announce(database, stretch)
    if not _is_alone(database):
        return None
    with database.snapshot() as connection:
        rows = connection.execute(_runs_of(stretch)).all()
        labelled = _labels_of(connection, stretch)
    columns = _columns(rows, labelled) if rows else {}
    if len(rows) > _MOST_READ or len(columns) > _MOST_COLUMNS or max(map(len, columns), default=0) > _LONGEST_NAME:
        return None
    return len(rows) if _store(database, stretch, segment_id, len(rows), columns) else None


def _announce(database: Database, stretch: Stretch) -> str:
    """Have changes marked from now on; give the id."""
    segment_id = uuid.uuid4().hex
    low, high = stretch.span
    row = {"segment_id": segment_id, "name": stretch.name, "from_at": low, "until_at": high, "runs": 0}
    with database.writing() as connection:
        connection.execute(sa.insert(segments).values(**row, state=SegmentState.MAKING))
    return segment_id


def _is_alone(database: Database) -> bool:
    """Wait for all who write at this moment: what they wrote may not have been marked. False after a while."""
    if database.is_sqlite:
        return True
    # Looked at without a lock, which new writers would have to queue behind. A transaction of its own, after the
    # announcement is committed, is the bound: whoever wrote before that has a lower number.
    bound = _ask(database, sa.func.txid_current())
    until = time.monotonic() + _PATIENCE_SECONDS
    while _ask(database, sa.func.txid_snapshot_xmin(sa.func.txid_current_snapshot())) <= bound:
        if time.monotonic() > until:
            return False
        threading.Event().wait(_LOOK_AGAIN_SECONDS)
    return True


def _ask(database: Database, what: "sa.Function[Any]") -> int:
    with database.reading() as connection:
        return int(connection.scalar(sa.select(what)) or 0)


def _runs_of(stretch: Stretch) -> sa.Select[Any]:
    low, high = stretch.span
    columns = [
        runs.c[RUN_ID],
        runs.c.job_id,
        runs.c[MOMENT],
        *(runs.c[name] for name in WORDS),
        *map(metric_column, FLAT),
        runs.c.custom,
    ]
    here = (runs.c.name == stretch.name) & (runs.c.began_at >= low) & (runs.c.began_at < high)
    return sa.select(*columns).where(here).order_by(runs.c.began_at, runs.c.run_id).limit(_MOST_READ + 1)


def _labels_of(connection: sa.Connection, stretch: Stretch) -> Labelled | None:
    """Give the values of each label by the jobs that have it; None where they are too many."""
    low, high = stretch.span
    here = (runs.c.name == stretch.name) & (runs.c.began_at >= low) & (runs.c.began_at < high)
    some = sa.select(runs.c.job_id).where(here).limit(_MOST_READ + 1).subquery()
    wanted = sa.select(labels.c.name, labels.c.job_id, labels.c.value).join(some, some.c.job_id == labels.c.job_id)
    found: Labelled = defaultdict(dict)
    rows = connection.execute(wanted.limit(_MOST_LABELS + 1)).all()
    for name, job_id, value in rows:
        found[name][job_id] = value
    return None if len(rows) > _MOST_LABELS or len(found) > _MOST_LABEL_NAMES else found


def _columns(rows: Sequence[sa.Row[Any]], labelled: Labelled | None) -> Columns:
    ids, jobs, moments, *others, custom = zip(*rows, strict=True)
    words, flat = others[: len(WORDS)], others[len(WORDS) :]
    found = {RUN_ID: (len(rows), pack_ids(ids)), MOMENT: (len(rows), pack_numbers(moments))}
    found |= {name: (len(rows), pack_words(column)) for name, column in zip(WORDS, words, strict=True)}
    if labelled is None:
        found[UNLABELLED] = (len(rows), b"")
    for name, values in (labelled or {}).items():
        found[f"{LABEL}{name}"] = (len(rows), pack_words([*map(values.get, jobs)]))
    numbers = {**dict(zip(FLAT, flat, strict=True)), **_custom(custom)}
    counts = {name: len(column) - column.count(None) for name, column in numbers.items()}
    return found | {name: (counts[name], pack_numbers(column)) for name, column in numbers.items() if counts[name]}


def _custom(values: Sequence[dict[str, object] | None]) -> dict[str, list[Number | None]]:
    names = list(dict.fromkeys(name for one in values if one for name in one))[:_MOST_COLUMNS]
    return {f"{CUSTOM}{name}": [_number(one.get(name)) if one else None for one in values] for name in names}


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _store(database: Database, stretch: Stretch, segment_id: str, count: int, columns: Columns) -> bool:
    """Make a segment whole in the place of others; False, with nothing done, where a change came between."""
    replaced = {one.segment_id for one in stretch.replaced}
    rows = [
        {"segment_id": segment_id, "name": name, "count": some, "packed": packed}
        for name, (some, packed) in columns.items()
    ]
    with database.writing() as connection:
        if not database.is_sqlite:
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
        there = {one.segment_id for one in whole_segments(connection, stretch.name, stretch.span)}
        # Another service may have been here first.
        if there - replaced or not _is_unmarked(connection, segment_id, replaced):
            return False
        whole = {"state": SegmentState.WHOLE, "runs": count}
        connection.execute(sa.update(segments).where(segments.c.segment_id == segment_id).values(whole))
        drop_segments(connection, list(replaced))
        if rows:
            connection.execute(sa.insert(segment_columns), rows)
    return True


def _is_unmarked(connection: sa.Connection, segment_id: str, replaced: Collection[str]) -> bool:
    """Tell whether a segment is as it was announced, and keep it and others from being marked until the end."""
    ids = [segment_id, *replaced]
    wanted = sa.select(segments.c.segment_id, segments.c.state).where(segments.c.segment_id.in_(ids))
    # Who marks one at this moment is not waited for: it might be waiting for another of them.
    found = {str(one): int(state) for one, state in connection.execute(wanted.with_for_update(skip_locked=True))}
    return len(found) == len(ids) and found[segment_id] == SegmentState.MAKING
