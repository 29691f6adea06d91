"""How the values of a metric are spread: aggregates and percentiles, with memory that does not grow with the runs.

PostgreSQL has percentiles of its own. SQLite sorts a million values in seconds; here a sample tells between which two
values each wanted one must lie, one pass counts what lies below, and only what lies between is sorted.
"""

import bisect
import json
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa

from scriptfleet.storage.engine import Database
from scriptfleet.storage.metric import Metric

#: The percentiles that can be asked for, as shares.
PERCENTILES: Final = {"median": 0.5, "p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}
SUMMARY: Final = ("min", "max", "avg", "sum", "count")
#: Every aggregate, in the order it is shown.
AGGREGATES: Final = (*SUMMARY, *PERCENTILES)

#: Up to so many values, sorting all of them is faster.
_SORTED_WHOLE: Final = 50_000
_SAMPLE: Final = 8_000
_LEAST_SAMPLE: Final = 200
#: A rank lies outside its bracket once in some hundred samples; then all is sorted after all.
_DEVIATIONS: Final = 3.0


@dataclass(frozen=True, slots=True)
class Summary:
    """What one pass tells. All but the count are None where there is no value."""

    count: int
    min: float | None
    max: float | None
    avg: float | None
    sum: float | None


def aggregates(database: Database, metric: Metric, names: Sequence[str] = AGGREGATES) -> dict[str, float | None]:
    """Give aggregates by name.

    A percentile lies at rank (n - 1) * share from 0, between two values in proportion (R's type 7, which PostgreSQL's
    percentile_cont and NumPy have too). Raises StoreUnreachable.
    """
    with database.reading() as connection:
        found = summary(connection, metric)
        shares = sorted({PERCENTILES[name] for name in names if name in PERCENTILES})
        places = [(found.count - 1) * share for share in shares] if found.count else []
        values = dict(zip(shares, at(connection, metric, found.count, places), strict=False))
    whole: dict[str, float | None] = {name: getattr(found, name) for name in SUMMARY}
    whole |= {name: values.get(share) for name, share in PERCENTILES.items()}
    return {name: whole[name] for name in names}


def summary(connection: sa.Connection, metric: Metric) -> Summary:
    """Give count, bounds, mean and sum."""
    value = metric.column
    aggregate = sa.func
    wanted = sa.select(
        aggregate.count(value),
        aggregate.min(value),
        aggregate.max(value),
        # Averaged and summed as doubles: PostgreSQL would make exact decimals of whole numbers.
        aggregate.avg(sa.cast(value, sa.Double)),
        aggregate.sum(sa.cast(value, sa.Double)),
    ).where(*metric.conditions)
    count, *others = connection.execute(wanted).one()
    return Summary(int(count), *others)


def deviation(connection: sa.Connection, metric: Metric, found: Summary) -> float | None:
    """Give the standard deviation of a sample (n - 1), in a second pass; None for less than two values."""
    if found.count <= 1 or found.avg is None:
        return None
    away = sa.cast(metric.column, sa.Double) - found.avg
    squares = connection.scalar(sa.select(sa.func.sum(away * away)).where(*metric.conditions))
    return math.sqrt(float(squares or 0) / (found.count - 1))


def at(connection: sa.Connection, metric: Metric, count: int, places: Sequence[float]) -> list[float]:
    """Give the values at places in the sorted order, counted from 0; between two of them in proportion."""
    if not places:
        return []
    if connection.dialect.name == "postgresql":
        shares = [place / (count - 1) if count > 1 else 0.0 for place in places]
        value = sa.cast(metric.column, sa.Double)
        array = sa.cast(sa.literal(shares, sa.ARRAY(sa.Double)), sa.ARRAY(sa.Double))
        wanted = sa.select(sa.func.percentile_cont(array).within_group(value)).where(*metric.conditions)
        return [float(found) for found in connection.scalar(wanted) or ()]
    ranks = sorted({rank for place in places for rank in (math.floor(place), math.ceil(place))})
    values = _at_ranks(connection, metric, count, ranks)
    return [_between(values, place) for place in places]


def _between(values: Mapping[int, float], place: float) -> float:
    low, high = values[math.floor(place)], values[math.ceil(place)]
    return low + (high - low) * (place - math.floor(place))


def _at_ranks(connection: sa.Connection, metric: Metric, count: int, ranks: Sequence[int]) -> dict[int, float]:
    found: dict[int, float] = {}
    if count > _SORTED_WHOLE:
        sample = _sample(connection, metric)
        if len(sample) >= _LEAST_SAMPLE:
            found = _in_brackets(connection, metric, ranks, _brackets(sample, count, ranks))
    if len(found) < len(ranks):
        found = _walk(_sorted(connection, metric), ranks, 0)
    return found


def _sample(connection: sa.Connection, metric: Metric) -> list[float]:
    newest = connection.scalar(sa.text("SELECT max(rowid) FROM runs")) or 0
    # Any rows will do, the same each time; nothing secret hangs on them.
    rows = random.Random(newest).sample(range(1, newest + 1), min(newest, _SAMPLE))  # noqa: S311
    chosen = sa.text("runs.rowid IN (SELECT value FROM json_each(:rows))").bindparams(rows=json.dumps(rows))
    return sorted(connection.scalars(sa.select(metric.column).where(*metric.conditions, chosen)))


def _brackets(sample: Sequence[float], count: int, ranks: Sequence[int]) -> list[tuple[float, float]]:
    """Give intervals, apart from each other and in order, in which the values of the ranks should lie."""
    found: list[tuple[float, float]] = []
    size = len(sample)
    for rank in ranks:
        share = rank / (count - 1)
        margin = _DEVIATIONS * math.sqrt(size * share * (1 - share)) + _DEVIATIONS
        low, high = math.floor(size * share - margin), math.ceil(size * share + margin)
        low_value = sample[low] if low >= 0 else -math.inf
        high_value = sample[high] if high < size else math.inf
        if found and low_value <= found[-1][1]:
            low_value, high_value = found[-1][0], max(found.pop()[1], high_value)
        found.append((low_value, high_value))
    return found


def _in_brackets(
    connection: sa.Connection, metric: Metric, ranks: Sequence[int], brackets: Sequence[tuple[float, float]]
) -> dict[int, float]:
    value = metric.column
    below = [sa.func.coalesce(sa.func.sum(sa.cast(value < low, sa.Integer)), 0) for low, _ in brackets]
    counts = connection.execute(sa.select(*below).where(*metric.conditions)).one()
    within = sa.or_(*(value.between(low, high) for low, high in brackets))
    starts = [low for low, _ in brackets]
    found: dict[int, float] = {}
    place, number = 0, -1
    for item, times in _sorted(connection, metric, within):
        if (at_bracket := bisect.bisect_right(starts, item) - 1) != number:
            number, place = at_bracket, int(counts[at_bracket])
        first = bisect.bisect_left(ranks, place)
        place += times
        found |= dict.fromkeys(ranks[first : bisect.bisect_left(ranks, place)], item)
    return found


def _sorted(connection: sa.Connection, metric: Metric, *more: sa.ColumnElement[bool]) -> Iterator[tuple[float, int]]:
    value = metric.column
    wanted = sa.select(value, sa.func.count()).where(*metric.conditions, *more).group_by(value).order_by(value)
    return (tuple(row) for row in connection.execute(wanted, execution_options={"yield_per": 1000}))


def _walk(items: Iterator[tuple[float, int]], ranks: Sequence[int], place: int) -> dict[int, float]:
    found: dict[int, float] = {}
    for item, times in items:
        first = bisect.bisect_left(ranks, place)
        place += times
        found |= dict.fromkeys(ranks[first : bisect.bisect_left(ranks, place)], item)
        if len(found) == len(ranks):
            break
    return found
