"""A row on its way to a table, and the plain type of each measure in it.

Imports no database library: local_history.py goes without.
"""

from types import NoneType, UnionType
from typing import get_args

from scriptfleet.domain.usage import Usage

#: Values by the names of columns.
Row = dict[str, object]


def _plain_types() -> dict[str, type]:
    found: dict[str, type] = {}
    for name, form in Usage.__annotations__.items():
        if isinstance(form, UnionType):
            found[name] = next(part for part in get_args(form) if part is not NoneType)
    return found


#: The plain type of every measure: str, int, float or bool.
MEASURE_TYPES: dict[str, type] = _plain_types()
