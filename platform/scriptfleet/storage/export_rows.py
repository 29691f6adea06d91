"""The rows of an export and their columns, read a few at a time: memory does not grow with how many there are."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa

from scriptfleet.domain.usage import MEASURES
from scriptfleet.storage.engine import Database
from scriptfleet.storage.metric import CUSTOM, Metric
from scriptfleet.storage.moments import iso
from scriptfleet.storage.row import MEASURE_TYPES
from scriptfleet.storage.run_filter import RunFilter, conditions_of
from scriptfleet.storage.tables import runs

_AT_ONCE: Final = 500
_OWN: Final = ("run_id", "job_id", "name", "kind", "queue", "group_name", "worker", "host", "attempt", "outcome")
#: What the columns of an export are called where the table says it otherwise.
_SHOWN: Final = {"name": "script_name", "began_at": "timestamp"}

Values = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Export:
    """What is exported: the names and plain types of its columns, and its rows."""

    columns: dict[str, type]
    rows: Iterator[Values]


def rows_of(database: Database, which: RunFilter, metric: str | None = None) -> Export:
    """Give runs, or the values of one metric of them; raises InvalidValue for what is no metric."""
    return whole_runs(database, which) if metric is None else one_metric(database, Metric(metric, which))


def whole_runs(database: Database, which: RunFilter) -> Export:
    """Give runs, the first begun first, with every measure; what scripts reported is one column of JSON, ``custom``."""
    table = [runs.c.began_at, *(runs.c[name] for name in (*_OWN, *MEASURES)), sa.cast(runs.c.custom, sa.Text)]
    types: dict[str, type] = {"timestamp": str}
    types |= {_SHOWN.get(name, name): int if name == "attempt" else str for name in _OWN}
    types |= {name: MEASURE_TYPES[name] for name in MEASURES}
    return Export(types | {"custom": str}, _read(database, sa.select(*table).where(*conditions_of(which))))


def one_metric(database: Database, metric: Metric) -> Export:
    """Give the values of one metric, the first begun first."""
    value = sa.cast(metric.column, sa.Double)
    table = sa.select(runs.c.began_at, runs.c.run_id, runs.c.name, sa.literal(metric.name), value)
    types: dict[str, type] = {"timestamp": str, "run_id": str, "script_name": str, "metric_name": str, "value": float}
    return Export(types, _read(database, table.where(*metric.conditions)))


def as_dict(columns: dict[str, type], row: Values) -> dict[str, Any]:
    """Give a row by the names of its columns, each metric of ``custom`` as ``custom.NAME``."""
    found = dict(zip(columns, row, strict=True))
    custom = found.pop("custom", None)
    return found | {f"{CUSTOM}{name}": value for name, value in (json.loads(custom) or {} if custom else {}).items()}


def _read(database: Database, wanted: sa.Select[Any]) -> Iterator[Values]:
    wanted = wanted.order_by(runs.c.began_at, runs.c.run_id)
    with database.reading() as connection:
        for row in connection.execute(wanted, execution_options={"yield_per": _AT_ONCE}):
            yield (iso(row[0]), *row[1:])
