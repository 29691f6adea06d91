"""Metrics over time: single values, newest last, and buckets of them; which metrics there are."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa

from scriptfleet.errors import InvalidValue
from scriptfleet.storage.engine import Database
from scriptfleet.storage.metric import CUSTOM, NUMBERS, Metric
from scriptfleet.storage.run_store import RunFilter, conditions_of
from scriptfleet.storage.tables import runs

#: Seconds of each size; buckets begin at whole multiples since the epoch, so a day is one of UTC.
BUCKETS: Final = {"5min": 300, "15min": 900, "1hour": 3600, "1day": 86_400}


@dataclass(frozen=True, slots=True)
class Value:
    """One value. The moment is when its run began, seconds since the epoch."""

    began_at: float
    run_id: str
    name: str | None
    value: float


@dataclass(frozen=True, slots=True)
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
    wanted = sa.select(runs.c.began_at, runs.c.run_id, runs.c.name, metric.column).where(*metric.conditions)
    wanted = wanted.order_by(runs.c.began_at, runs.c.run_id).limit(limit).offset(offset)
    with database.reading() as connection:
        for row in connection.execute(wanted, execution_options={"yield_per": 1000}):
            yield Value(*row)


def buckets(database: Database, metric: Metric, size: str) -> list[Bucket]:
    """Give buckets that hold a value, the oldest first. Raises InvalidValue for another size, StoreUnreachable."""
    if size not in BUCKETS:
        raise InvalidValue("bucket", size, ", ".join(BUCKETS))
    width = BUCKETS[size]
    # Written out: PostgreSQL takes two parameters of one value for two expressions.
    ratio = runs.c.began_at / sa.literal_column(f"{width}.0")
    number = (sa.cast(ratio, sa.BigInteger) if database.is_sqlite else sa.func.floor(ratio)).label("number")
    value = sa.cast(metric.column, sa.Double)
    wanted = (
        sa.select(number, *(aggregate(value) for aggregate in _OF_BUCKET)).where(*metric.conditions).group_by(number)
    )
    with database.reading() as connection:
        found = connection.execute(wanted).all()
    # Sorted here: PostgreSQL, which can't tell how few buckets there are, would sort all the runs on its disk.
    return [Bucket(float(row[0]) * width, *row[1:]) for row in sorted(found, key=lambda row: float(row[0]))]


_OF_BUCKET = (sa.func.count, sa.func.avg, sa.func.min, sa.func.max, sa.func.sum)


def counts(database: Database, which: RunFilter) -> dict[str, int]:
    """Give how many runs have each metric, those that none has left out. One pass. Raises StoreUnreachable."""
    conditions = conditions_of(which)
    columns = [sa.func.count(runs.c[name]) for name in NUMBERS]
    with database.reading() as connection:
        found = connection.execute(sa.select(*columns).where(*conditions)).one()
        own = connection.execute(_custom_names(database.is_sqlite, conditions)).all()
    custom = {f"{CUSTOM}{name}": int(count) for name, count in own}
    return {name: int(count) for name, count in zip(NUMBERS, tuple(found), strict=True) if count} | custom


def _custom_names(is_sqlite: bool, conditions: list[sa.ColumnElement[bool]]) -> sa.Select[Any]:
    each = sa.func.json_each(runs.c.custom) if is_sqlite else sa.func.json_each_text(runs.c.custom)
    pairs = each.table_valued("key", "value", joins_implicitly=True).alias("pairs")
    wanted = sa.select(pairs.c.key, sa.func.count()).select_from(runs, pairs)
    return wanted.where(*conditions, runs.c.custom.is_not(None)).group_by(pairs.c.key).order_by(pairs.c.key)
