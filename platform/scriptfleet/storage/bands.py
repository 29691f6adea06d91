"""How the values of a metric lie in each piece of time: median and 95th percentile, exact, for charts."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa

from scriptfleet.domain.percentile import percentile
from scriptfleet.storage.columns import Piece, cover, pieces
from scriptfleet.storage.engine import Database
from scriptfleet.storage.metric import Metric
from scriptfleet.storage.packed import packed, unpacked
from scriptfleet.storage.run_filter import RunFilter, conditions_of
from scriptfleet.storage.spread import parts_of
from scriptfleet.storage.tables import runs
from scriptfleet.storage.time_pieces import piece_number

HOURS_OF_WEEK: Final = 168
#: The epoch began on a Thursday; weeks begin on Monday.
_FIRST_HOUR: Final = 3 * 24
_HOUR_SECONDS: Final = 3600
_SHARES: Final = (0.5, 0.95)


@dataclass(frozen=True, slots=True)
class Band:
    """The runs of some time; percentiles are None where none of them has the metric."""

    runs: int
    p50: float | None
    p95: float | None


def bands(database: Database, metric: Metric, width_seconds: int) -> dict[float, Band]:
    """Give a band for each piece of time with runs in it, by its beginning, in order. Raises StoreUnreachable.

    Pieces begin at whole multiples of ``width_seconds`` since the epoch.
    """
    found = _grouped(database, metric, width_seconds)
    return {float(number) * width_seconds: found[number] for number in sorted(found)}


def week(database: Database, metric: Metric) -> dict[int, Band]:
    """Give a band for each hour of the week (UTC, counted from Monday) with runs in it. Raises StoreUnreachable."""
    return _grouped(database, metric, _HOUR_SECONDS, is_weekly=True)


def first_moment(database: Database, which: RunFilter) -> float | None:
    """Give when the first of these runs began; None where there is none. Raises StoreUnreachable."""
    wanted = sa.select(runs.c.began_at).where(*conditions_of(which)).order_by(runs.c.began_at).limit(1)
    with database.reading() as connection:
        return connection.scalar(wanted)


def _grouped(database: Database, metric: Metric, width_seconds: int, *, is_weekly: bool = False) -> dict[int, Band]:
    with database.snapshot() as connection:
        covered = cover(connection, metric.which)
        if covered is None:
            return _of_rows(connection, metric, width_seconds, is_weekly)
        read = pieces(connection, metric, covered, has_moments=True)
        return _of_pieces(read, width_seconds, is_weekly)


def _of_pieces(read: Iterable[Piece], width_seconds: int, is_weekly: bool) -> dict[int, Band]:
    counts: Counter[int] = Counter()
    values: dict[int, list[float]] = defaultdict(list)
    for piece in read:
        has_all = piece.moments is piece.moments_of_values
        for number, start, end in parts_of(piece.moments, width_seconds):
            key = _hour_of_week(number) if is_weekly else number
            counts[key] += end - start
            if has_all:
                values[key].extend(piece.values[start:end])
        for number, start, end in () if has_all else parts_of(piece.moments_of_values, width_seconds):
            values[_hour_of_week(number) if is_weekly else number].extend(piece.values[start:end])
    return {number: _ordered_band(count, sorted(values.get(number, ()))) for number, count in counts.items()}


def _hour_of_week(hour: int) -> int:
    return (hour + _FIRST_HOUR) % HOURS_OF_WEEK


def _of_rows(connection: sa.Connection, metric: Metric, width_seconds: int, is_weekly: bool) -> dict[int, Band]:
    is_sqlite = connection.dialect.name == "sqlite"
    key = piece_number(connection.dialect.name, width_seconds)
    if is_weekly:
        # What is left of a negative number is negative in SQL.
        hours: sa.ColumnElement[int] = sa.literal_column(str(HOURS_OF_WEEK))
        key = ((key + sa.literal_column(str(_FIRST_HOUR))) % hours + hours) % hours
    of_values = _packed_values(metric) if is_sqlite else _percentiles(metric)
    wanted = sa.select(key, sa.func.count(), of_values).where(*conditions_of(metric.which)).group_by(key)
    return {int(number): _band(int(count), found) for number, count, found in connection.execute(wanted)}


def _packed_values(metric: Metric) -> sa.ColumnElement[Any]:
    return packed(metric.column).filter(metric.column.is_not(None))


def _percentiles(metric: Metric) -> sa.ColumnElement[Any]:
    shares = sa.cast(sa.literal(list(_SHARES), sa.ARRAY(sa.Double)), sa.ARRAY(sa.Double))
    return sa.func.percentile_cont(shares).within_group(sa.cast(metric.column, sa.Double))


def _band(count: int, found: bytes | list[float] | None) -> Band:
    if isinstance(found, bytes):
        return _ordered_band(count, sorted(unpacked(found)))
    return Band(count, *(found or (None, None)))


def _ordered_band(count: int, ordered: Sequence[float]) -> Band:
    return Band(count, *((percentile(ordered, share) if ordered else None) for share in _SHARES))
