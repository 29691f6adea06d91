"""How the values of a metric are spread: aggregates and percentiles, with memory that does not grow with the runs.

Where segments stand for the runs, values are read from these (see columns.py and spread.py). Elsewhere few values are
sorted: by PostgreSQL, which has percentiles of its own, or here (see packed.py). Of many, a sample tells
between which two values each wanted one must lie; one pass counts what lies below and gives only what lies between,
some percent of all, which are sorted here.
"""

import json
import math
import random
from collections.abc import Sequence
from typing import Any, Final

import sqlalchemy as sa

from scriptfleet.storage.columns import cover, pieces
from scriptfleet.storage.engine import Database
from scriptfleet.storage.metric import Metric
from scriptfleet.storage.packed import packed, unpacked
from scriptfleet.storage.ranks import DEVIATIONS, Bracket, Places, Ranked, brackets_of
from scriptfleet.storage.run_filter import conditions_of
from scriptfleet.storage.spread import Summary, spread_of, squares_of
from scriptfleet.storage.tables import runs

#: The percentiles that can be asked for, as shares.
PERCENTILES: Final = {"median": 0.5, "p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}
SUMMARY: Final = ("min", "max", "avg", "sum", "count")
#: Every aggregate, in the order it is shown.
AGGREGATES: Final = (*SUMMARY, *PERCENTILES)

#: Up to so many runs, sorting all their values is fastest.
_SORTED_WHOLE: Final = 100_000
_SAMPLE: Final = 4_000


def aggregates(database: Database, metric: Metric, names: Sequence[str] = AGGREGATES) -> dict[str, float | None]:
    """Give aggregates by name.

    A percentile lies at rank (n - 1) * share from 0, between two values in proportion (R's type 7, which PostgreSQL's
    percentile_cont and NumPy have too). Raises StoreUnreachable.
    """
    shares = sorted({PERCENTILES[name] for name in names if name in PERCENTILES})
    with database.snapshot() as connection:
        found, at = spread(connection, metric, lambda count: [(count - 1) * share for share in shares])
    values = dict(zip(shares, at, strict=False))
    whole: dict[str, float | None] = {name: getattr(found, name) for name in SUMMARY}
    whole |= {name: values.get(share) for name, share in PERCENTILES.items()}
    return {name: whole[name] for name in names}


def spread(connection: sa.Connection, metric: Metric, places: Places) -> tuple[Summary, list[float]]:
    """Give the summary, and the values at places in the sorted order; none of these where there is no value.

    A place between two values is answered in proportion.
    """
    covered = cover(connection, metric.which)
    if covered is not None:
        return spread_of(lambda: (one.values for one in pieces(connection, metric, covered)), places)
    are_many = bool(places(2)) and _are_many(connection, metric)
    if not places(2) or (connection.dialect.name == "postgresql" and not are_many):
        found, _ = _summary(connection, metric)
        return found, _percentiles(connection, metric, found.count, places(found.count)) if found.count else []
    deviations = DEVIATIONS
    sample = _sample(connection, metric) if are_many else []
    while True:
        brackets = brackets_of(sample, places, deviations)
        found, values = _in_brackets(connection, metric, places, brackets)
        if values is not None:
            return found, values
        deviations *= 2


def deviation(connection: sa.Connection, metric: Metric, found: Summary) -> float | None:
    """Give the standard deviation of a sample (n - 1), in a second pass; None for less than two values."""
    if found.count <= 1 or found.avg is None:
        return None
    return math.sqrt(_squares(connection, metric, found.avg) / (found.count - 1))


def _squares(connection: sa.Connection, metric: Metric, middle: float) -> float:
    covered = cover(connection, metric.which)
    if covered is not None:
        return squares_of(lambda: (one.values for one in pieces(connection, metric, covered)), middle)
    away = sa.cast(metric.column, sa.Double) - middle
    return float(connection.scalar(sa.select(sa.func.sum(away * away)).where(*metric.conditions)) or 0)


def _summary(connection: sa.Connection, metric: Metric, *more: sa.ColumnElement[Any]) -> tuple[Summary, Sequence[Any]]:
    """Read count, bounds, mean and sum, and with them whatever else is asked of the same rows."""
    value, aggregate = metric.column, sa.func
    wanted = sa.select(
        aggregate.count(),
        aggregate.min(value),
        aggregate.max(value),
        # Summed as doubles: PostgreSQL would make exact decimals of whole numbers, SQLite refuse what is too large.
        aggregate.sum(sa.cast(value, sa.Double)),
        *more,
    )
    count, low, high, whole, *others = connection.execute(wanted.select_from(runs).where(*metric.conditions)).one()
    return Summary(int(count), low, high, whole / count if count else None, whole), others


def _percentiles(connection: sa.Connection, metric: Metric, count: int, places: Sequence[float]) -> list[float]:
    if not places:
        return []
    shares = [place / (count - 1) if count > 1 else 0.0 for place in places]
    array = sa.cast(sa.literal(shares, sa.ARRAY(sa.Double)), sa.ARRAY(sa.Double))
    wanted = sa.func.percentile_cont(array).within_group(sa.cast(metric.column, sa.Double))
    return [float(found) for found in connection.scalar(sa.select(wanted).where(*metric.conditions)) or ()]


def _are_many(connection: sa.Connection, metric: Metric) -> bool:
    some = sa.select(sa.literal(1)).select_from(runs).where(*conditions_of(metric.which)).limit(_SORTED_WHOLE + 1)
    return int(connection.scalar(sa.select(sa.func.count()).select_from(some.subquery())) or 0) > _SORTED_WHOLE


def _sample(connection: sa.Connection, metric: Metric) -> list[float]:
    # Any rows will do, the same each time, as long as there are as many wherever one looks.
    chosen = _pages_of_postgres(connection) if connection.dialect.name == "postgresql" else _rows_of_sqlite(connection)
    return sorted(connection.scalars(sa.select(metric.column).where(*metric.conditions, chosen)))


def _rows_of_sqlite(connection: sa.Connection) -> sa.TextClause:
    newest = connection.scalar(sa.text("SELECT max(rowid) FROM runs")) or 0
    # Nothing secret hangs on them.
    rows = random.Random(newest).sample(range(1, newest + 1), min(newest, _SAMPLE))  # noqa: S311
    return sa.text("runs.rowid IN (SELECT value FROM json_each(:rows))").bindparams(rows=json.dumps(sorted(rows)))


def _pages_of_postgres(connection: sa.Connection) -> sa.TextClause:
    known = connection.scalar(sa.text("SELECT reltuples FROM pg_class WHERE oid = 'runs'::regclass")) or 0
    percent = 100 * min(1.0, _SAMPLE / max(known, _SAMPLE))
    some = "SELECT ctid FROM runs TABLESAMPLE SYSTEM (:percent) REPEATABLE (1)"
    return sa.text(f"runs.ctid = ANY (ARRAY({some}))").bindparams(percent=percent)


def _in_brackets(
    connection: sa.Connection, metric: Metric, places: Places, brackets: Sequence[Bracket]
) -> tuple[Summary, list[float] | None]:
    """Give the summary and the values at the places; None for these where a bracket lacks one."""
    value = metric.column
    below = [sa.func.count().filter(value < low) for low, _ in brackets]
    # How many have the one value of a bracket is counted too: they may be most of all.
    upto = [sa.func.count().filter(value <= low) for low, high in brackets if low == high]
    kept = _gathered(connection, value).filter(_within(value, brackets))
    found, (body, *counts) = _summary(connection, metric, kept, *below, *upto)
    common = dict(zip((low for low, high in brackets if low == high), counts[len(brackets) :], strict=True))
    values = unpacked(body) if isinstance(body, bytes) else body or ()
    ranked = Ranked(sorted(values), brackets, counts, common)
    known = [ranked.at(place) for place in places(found.count)] if found.count else []
    return found, None if None in known else [one for one in known if one is not None]


def _gathered(connection: sa.Connection, value: sa.ColumnElement[Any]) -> "sa.Function[Any]":
    if connection.dialect.name == "postgresql":
        return sa.func.array_agg(sa.cast(value, sa.Double))
    return packed(value)


def _within(value: sa.ColumnElement[Any], brackets: Sequence[Bracket]) -> sa.ColumnElement[bool]:
    """Give one condition for all brackets, over as soon as it is decided."""
    found: sa.ColumnElement[bool] = sa.false()
    for low, high in reversed(brackets):
        if low < high:
            found = sa.and_(value >= low, sa.or_(value <= high, found))
    return found
