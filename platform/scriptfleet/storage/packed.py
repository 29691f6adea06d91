"""Values of many rows as one value: an aggregate that SQLite lacks, given to its connections.

To fetch row by row takes several times as long as to read them.
"""

from array import array
from typing import Any, Final

import sqlalchemy as sa

_NAME: Final = "packed"


def add_packed(connection: Any) -> None:
    """Teach it to a connection of sqlite3."""
    connection.create_aggregate(_NAME, 1, _Packed)


def packed(value: sa.ColumnElement[Any]) -> "sa.Function[bytes]":
    """Give the expression; what comes of it is for unpacked(). No value may be null."""
    return sa.Function(_NAME, value, type_=sa.LargeBinary)


def unpacked(body: bytes | None) -> "array[float]":
    """Give the values, in no order."""
    return array("d", body or b"")


class _Packed:
    def __init__(self) -> None:
        self._values = array("d")
        # The array's own method, since one of Python is twice as slow.
        self.step = self._values.append

    def finalize(self) -> bytes:
        return self._values.tobytes()
