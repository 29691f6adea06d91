"""Metrics over time: single values, newest last, and buckets of them; which metrics there are."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa

from scriptfleet.errors import InvalidValue
from scriptfleet.storage.columns import Cover, Piece, counts_within, cover, pieces, rows_in_holes
from scriptfleet.storage.engine import Database
from scriptfleet.storage.metric import CUSTOM, NUMBERS, Metric
from scriptfleet.storage.run_filter import RunFilter, conditions_of
from scriptfleet.storage.run_order import stretches_of, values_in_order
from scriptfleet.storage.spread import parts_of, sum_of
from scriptfleet.storage.tables import runs
from scriptfleet.storage.time_pieces import piece_number

#: Seconds of each size; buckets begin at whole multiples since the epoch, so a day is one of UTC.
BUCKETS: Final = {"5min": 300, "15min": 900, "1hour": 3600, "1day": 86_400}


_FOLDED_AT: Final = 1000
#: Of a bucket: count, avg, min, max and sum.
_Told = tuple[int, float, float, float, float]


# Neither this nor the next is frozen: a year has a hundred thousand, and a frozen one takes four times as long to make.
@dataclass(slots=True)
class Value:
    """One value. The moment is when its run began, seconds since the epoch."""

    began_at: float
    run_id: str
    name: str | None
    value: float


@dataclass(slots=True)
class Bucket:
    """The values of some time, from ``began_at`` on, seconds since the epoch."""

    began_at: float
    count: int
    avg: float
    min: float
    max: float
    sum: float


def values(database: Database, metric: Metric, limit: int | None = None, offset: int = 0) -> Iterator[Value]:
    """Give values, the oldest first, a few at a time. Raises StoreUnreachable."""
    with database.snapshot() as connection:
        found = stretches_of(connection, metric.which)
        if found is None:
            yield from _values_of_rows(connection, metric, limit, offset)
        else:
            for began_at, run_id, value in values_in_order(connection, metric, found, limit, offset):
                yield Value(began_at, run_id, metric.which.name, value)


def _values_of_rows(connection: sa.Connection, metric: Metric, limit: int | None, offset: int) -> Iterator[Value]:
    wanted = sa.select(runs.c.began_at, runs.c.run_id, runs.c.name, metric.column).where(*metric.conditions)
    wanted = wanted.order_by(runs.c.began_at, runs.c.run_id).limit(limit).offset(offset)
    for row in connection.execute(wanted, execution_options={"yield_per": 1000}):
        yield Value(*row)


def buckets(database: Database, metric: Metric, size: str) -> list[Bucket]:
    """Give buckets that hold a value, the oldest first. Raises InvalidValue for another size, StoreUnreachable."""
    if size not in BUCKETS:
        raise InvalidValue("bucket", size, ", ".join(BUCKETS))
    width = BUCKETS[size]
    with database.snapshot() as connection:
        covered = cover(connection, metric.which)
        if covered is not None:
            return _by_column(connection, metric, width, covered)
        found = _by_rows(connection, metric, width)
    return [Bucket(float(number) * width, *told) for number, told in sorted(found.items())]


def _by_column(connection: sa.Connection, metric: Metric, width: int, covered: Cover) -> list[Bucket]:
    found = _Values()
    for piece in pieces(connection, metric, covered, has_moments=True):
        found.take(piece, width)
    return found.buckets(width)


class _Values:
    """Values by the number of their bucket; of many runs memory holds some of them."""

    def __init__(self) -> None:
        # Most are alone where buckets are narrow. A list for each would be as much work again, for the collector too.
        self._alone: dict[int, float] = {}
        self._several: dict[int, list[float]] = {}
        self._folded: dict[int, list[_Told]] = defaultdict(list)

    def take(self, piece: Piece, width: int) -> None:
        alone, several, values = self._alone, self._several, [*map(float, piece.values)]
        for number, start, end in parts_of(piece.moments_of_values, width):
            if end - start == 1 and number not in alone and number not in several:
                alone[number] = values[start]
            else:
                self._join(number, values[start:end])

    def buckets(self, width: int) -> list[Bucket]:
        found, alone = [], self._alone
        for number in sorted([*alone, *self._several]):
            value = alone.get(number)
            if value is None:
                found.append(Bucket(float(number * width), *self._whole(number)))
            else:
                found.append(Bucket(float(number * width), 1, value, value, value, value))
        return found

    def _join(self, number: int, values: list[float]) -> None:
        some = self._several.setdefault(number, [])
        if number in self._alone:
            some.append(self._alone.pop(number))
        some += values
        if len(some) > _FOLDED_AT:
            # Of most scripts a bucket has a few at a time.
            self._folded[number].append(_told(some))
            self._several[number] = []

    def _whole(self, number: int) -> _Told:
        some = self._several[number]
        if number not in self._folded:
            return _told(some)
        return _joined([*self._folded[number], *([_told(some)] if some else [])])


def _told(values: Sequence[float]) -> _Told:
    whole = sum_of(values)
    return len(values), whole / len(values), float(min(values)), float(max(values)), whole


def _joined(parts: Sequence[_Told]) -> _Told:
    counts, _, least, greatest, sums = zip(*parts, strict=True)
    count, whole = sum(counts), sum_of(sums)
    return count, whole / count, min(least), max(greatest), whole


def _by_rows(connection: sa.Connection, metric: Metric, width: int) -> dict[int, _Told]:
    # Sorted by the caller: PostgreSQL, which can't tell how few buckets there are, would sort all the runs on its disk.
    number = piece_number(connection.dialect.name, width).label("number")
    value = sa.cast(metric.column, sa.Double)
    wanted = sa.select(number, *(aggregate(value) for aggregate in _OF_BUCKET)).where(*metric.conditions)
    return {int(row[0]): tuple(row[1:]) for row in connection.execute(wanted.group_by(number))}


_OF_BUCKET = (sa.func.count, sa.func.avg, sa.func.min, sa.func.max, sa.func.sum)


def counts(database: Database, which: RunFilter) -> dict[str, int]:
    """Give how many runs have each metric, those that none has left out. One pass. Raises StoreUnreachable."""
    with database.snapshot() as connection:
        covered = cover(connection, which)
        told = _counted(connection, which) if covered is None else _counted_by_column(connection, which, covered)
    own = sorted(name for name in told if name.startswith(CUSTOM))
    return {name: told[name] for name in (*NUMBERS, *own) if told.get(name)}


def _counted(connection: sa.Connection, which: RunFilter) -> Counter[str]:
    conditions = conditions_of(which)
    wanted = sa.select(*_COUNTS).where(*conditions)
    custom = _custom_names(connection.dialect.name).where(*conditions, runs.c.custom.is_not(None))
    found = Counter(dict(zip(NUMBERS, connection.execute(wanted).one(), strict=True)))
    found.update({f"{CUSTOM}{name}": int(count) for name, count in connection.execute(custom)})
    return found


def _counted_by_column(connection: sa.Connection, which: RunFilter, covered: Cover) -> Counter[str]:
    found = Counter(counts_within(connection, which, covered.segments))
    columns = [*(runs.c[name] for name in NUMBERS), runs.c.custom]
    for rows in rows_in_holes(connection, columns, which, covered.holes):
        *flat, custom = zip(*rows, strict=True)
        found.update({name: len(rows) - column.count(None) for name, column in zip(NUMBERS, flat, strict=True)})
        found.update(f"{CUSTOM}{name}" for one in custom if one for name in one)
    return found


_COUNTS: Final = [sa.func.count(runs.c[name]) for name in NUMBERS]


def _custom_names(dialect: str) -> sa.Select[Any]:
    each = sa.func.json_each(runs.c.custom) if dialect == "sqlite" else sa.func.json_each_text(runs.c.custom)
    pairs = each.table_valued("key", "value", joins_implicitly=True).alias("pairs")
    return sa.select(pairs.c.key, sa.func.count()).select_from(runs, pairs).group_by(pairs.c.key)
