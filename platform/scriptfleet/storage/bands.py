"""How the values of a metric lie in each piece of time: median and 95th percentile, exact, for charts."""

from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa

from scriptfleet.domain.percentile import percentile
from scriptfleet.storage.engine import Database
from scriptfleet.storage.metric import Metric
from scriptfleet.storage.packed import packed, unpacked
from scriptfleet.storage.run_store import RunFilter, conditions_of
from scriptfleet.storage.tables import runs

HOURS_OF_WEEK: Final = 168
#: The epoch began on a Thursday; weeks begin on Monday.
_FIRST_HOUR: Final = 3 * 24
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
    found = _grouped(database, metric, _number(database, width_seconds))
    return {float(number) * width_seconds: found[number] for number in sorted(found)}


def week(database: Database, metric: Metric) -> dict[int, Band]:
    """Give a band for each hour of the week (UTC, counted from Monday) with runs in it. Raises StoreUnreachable."""
    hour = _number(database, 3600) + sa.literal_column(str(_FIRST_HOUR))
    return _grouped(database, metric, hour % sa.literal_column(str(HOURS_OF_WEEK)))


def first_moment(database: Database, which: RunFilter) -> float | None:
    """Give when the first of these runs began; None where there is none. Raises StoreUnreachable."""
    wanted = sa.select(runs.c.began_at).where(*conditions_of(which)).order_by(runs.c.began_at).limit(1)
    with database.reading() as connection:
        return connection.scalar(wanted)


def _number(database: Database, width_seconds: int) -> sa.ColumnElement[int]:
    # Written out: PostgreSQL takes two parameters of one value for two expressions.
    ratio = runs.c.began_at / sa.literal_column(f"{width_seconds}.0")
    return sa.cast(ratio if database.is_sqlite else sa.func.floor(ratio), sa.BigInteger)


def _grouped(database: Database, metric: Metric, key: sa.ColumnElement[int]) -> dict[int, Band]:
    of_values = _packed_values(metric) if database.is_sqlite else _percentiles(metric)
    wanted = sa.select(key, sa.func.count(), of_values).where(*conditions_of(metric.which)).group_by(key)
    with database.reading() as connection:
        return {int(number): _band(int(count), found) for number, count, found in connection.execute(wanted)}


def _packed_values(metric: Metric) -> sa.ColumnElement[Any]:
    return packed(metric.column).filter(metric.column.is_not(None))


def _percentiles(metric: Metric) -> sa.ColumnElement[Any]:
    shares = sa.cast(sa.literal(list(_SHARES), sa.ARRAY(sa.Double)), sa.ARRAY(sa.Double))
    return sa.func.percentile_cont(shares).within_group(sa.cast(metric.column, sa.Double))


def _band(count: int, found: bytes | list[float] | None) -> Band:
    if not found:
        return Band(count, None, None)
    if isinstance(found, bytes):
        ordered = sorted(unpacked(found))
        return Band(count, *(percentile(ordered, share) for share in _SHARES))
    return Band(count, *found)
