"""A metric as SQL: which column or JSON value of a run it is, and which runs are meant."""

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from scriptfleet.domain import check
from scriptfleet.domain.usage import MEASURES
from scriptfleet.errors import InvalidValue
from scriptfleet.storage.row import MEASURE_TYPES
from scriptfleet.storage.run_filter import RunFilter, conditions_of
from scriptfleet.storage.tables import runs

CUSTOM = "custom."
#: Measures that are numbers, in the order they are shown.
NUMBERS = tuple(name for name in MEASURES if MEASURE_TYPES[name] in {int, float})


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric of some runs. Runs without it, as on hosts that cannot tell, are left out."""

    name: str
    which: RunFilter

    def __post_init__(self) -> None:
        metric_column(self.name)

    @property
    def column(self) -> sa.ColumnElement[Any]:
        """The value, null where a run has none."""
        return metric_column(self.name)

    @property
    def conditions(self) -> list[sa.ColumnElement[bool]]:
        """What holds for the rows that have a value."""
        return [*conditions_of(self.which), self.column.is_not(None)]


def metric_column(name: str) -> sa.ColumnElement[Any]:
    """Give the expression of a metric; raises InvalidValue for a name that is no number of a run."""
    if name in NUMBERS:
        return runs.c[name]
    if name == "success":
        return sa.cast(runs.c.success, sa.Integer)
    own = name.removeprefix(CUSTOM) if isinstance(name, str) and name.startswith(CUSTOM) else ""
    if not own or '"' in own or "\\" in own:
        expected = f"success, {', '.join(NUMBERS)} or {CUSTOM}NAME"
        raise InvalidValue("metric", name, expected)
    value: sa.ColumnElement[Any] = runs.c.custom[check.text("metric", own, 255)].as_float()
    return value
