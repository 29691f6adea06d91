"""Writes many rows with one statement: on PostgreSQL as one list of values, on SQLite as one prepared statement."""

import json
from collections.abc import Sequence
from contextlib import closing

import sqlalchemy as sa
from psycopg2.extras import execute_values  # type: ignore[import-untyped]
from sqlalchemy.dialects import postgresql, sqlite

from scriptfleet.storage.row import Row

Insert = postgresql.Insert | sqlite.Insert

#: Rows in one statement: more gain little and hold the server's memory.
_ROWS_AT_ONCE = 500

_VALUES, _CONFLICT = " VALUES (", ") ON CONFLICT"


class BulkInsert:
    """An INSERT … ON CONFLICT for rows that all have the same columns; built once, then used for every batch."""

    def __init__(self, statement: Insert, columns: Sequence[str], dialect: sa.Dialect) -> None:
        self._statement = statement
        self._json = [column.name for column in statement.table.c if isinstance(column.type, sa.JSON)]
        self._head, self._row = "", ""
        if isinstance(statement, postgresql.Insert):
            self._head, self._row = _split(statement, columns, dialect)

    def write(self, connection: sa.Connection, rows: Sequence[Row]) -> None:
        """Write rows, none of them twice; no rows is no statement."""
        if not rows:
            return
        if not self._head:
            connection.execute(self._statement, rows)
            return
        # The driver's own executemany sends a statement a row, which takes three times as long.
        with closing(connection.connection.cursor()) as cursor:
            execute_values(cursor, self._head, [self._plain(row) for row in rows], self._row, _ROWS_AT_ONCE)

    def _plain(self, row: Row) -> Row:
        found = {name: row[name] for name in self._json if row.get(name) is not None}
        return {**row, **{name: json.dumps(value) for name, value in found.items()}} if found else row


def _split(statement: postgresql.Insert, columns: Sequence[str], dialect: sa.Dialect) -> tuple[str, str]:
    """Give the statement with one mark for all rows, and the form of one row."""
    text = str(statement.compile(dialect=dialect, column_keys=list(columns)))
    before, _, rest = text.partition(_VALUES)
    row, _, after = rest.partition(_CONFLICT)
    return f"{before} VALUES %s ON CONFLICT{after}", f"({row})"
