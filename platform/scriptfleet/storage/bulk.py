"""Writes many rows with one statement. On SQLite it is a prepared one; on PostgreSQL a list of values, or COPY.

PostgreSQL takes as long to read a value in a statement as to store it: many rows are copied into a table of the
session's own, and inserted from there.
"""

import json
import re
from collections.abc import Iterable, Sequence
from contextlib import closing

import sqlalchemy as sa
from psycopg2.extras import execute_values  # type: ignore[import-untyped]
from sqlalchemy.dialects import postgresql, sqlite

from scriptfleet.storage.copy_text import copy_text
from scriptfleet.storage.row import Row

Insert = postgresql.Insert | sqlite.Insert

#: Fewer rows go faster as a list of values: COPY takes two statements more.
_LEAST_COPIED = 20

_VALUES, _CONFLICT = " VALUES (", ") ON CONFLICT"
_NAMED_MARK = re.compile(r"%\(\w+\)s")


class BulkInsert:
    """An INSERT … ON CONFLICT for rows that all have the same columns; built once, then used for every batch."""

    def __init__(self, statement: Insert, columns: Sequence[str], dialect: sa.Dialect) -> None:
        # As SQLAlchemy orders them.
        columns = [column.name for column in statement.table.c if column.name in columns]
        self._columns = columns
        self._text = str(statement.compile(dialect=dialect, column_keys=columns))
        of_json = {column.name for column in statement.table.c if isinstance(column.type, sa.JSON)}
        self._json_places = [place for place, name in enumerate(columns) if name in of_json]
        self._of_postgres = _Postgres(statement, columns, dialect) if isinstance(statement, postgresql.Insert) else None

    def write(self, connection: sa.Connection, rows: Iterable[Row]) -> None:
        """Write rows, none of them twice; a column that a row lacks is null; no rows is no statement."""
        values = [self._values(row) for row in rows]
        if not values:
            return
        said = self._of_postgres
        if said is None:
            # Straight to the driver: SQLAlchemy would look at each value of each row.
            connection.exec_driver_sql(self._text, values)
            return
        with closing(connection.connection.cursor()) as cursor:
            if len(values) >= _LEAST_COPIED:
                cursor.execute(said.make_table)
                cursor.copy_expert(said.copy, copy_text(values))
                cursor.execute(said.insert_copied)
            else:
                # The driver's own executemany sends a statement a row, which takes three times as long.
                execute_values(cursor, said.insert_values, values, said.row)

    def _values(self, row: Row) -> tuple[object, ...]:
        values = [*map(row.get, self._columns)]
        for place in self._json_places:
            if values[place] is not None:
                values[place] = _json_text(values[place])
        return tuple(values)


def _json_text(value: object) -> str:
    # Of most runs the list of artifacts is empty.
    return "[]" if value == [] else json.dumps(value)


class _Postgres:
    """The texts of the statements."""

    def __init__(self, statement: postgresql.Insert, columns: Sequence[str], dialect: sa.Dialect) -> None:
        text = str(statement.compile(dialect=dialect, column_keys=list(columns)))
        before, _, rest = text.partition(_VALUES)
        row, _, after = rest.partition(_CONFLICT)
        table, names = statement.table.name, ", ".join(columns)
        # Rows of one table come in several forms.
        copied = f"copied_{table}_{len(columns)}"
        texts = [column.name for column in statement.table.primary_key if isinstance(column.type, sa.Text)]
        keys = ", ".join(f'{name} COLLATE "C"' for name in texts)
        #: One mark stands for all rows, and the form of one row, by place instead of by name.
        self.insert_values, self.row = f"{before} VALUES %s ON CONFLICT{after}", f"({_NAMED_MARK.sub('%s', row)})"
        # No value is put in: names are those of our own tables.
        self.make_table = (
            f"CREATE TEMPORARY TABLE IF NOT EXISTS {copied} ON COMMIT DELETE ROWS "  # noqa: S608
            f"AS SELECT {names} FROM {table} WITH NO DATA"
        )
        self.copy = f"COPY {copied} ({names}) FROM STDIN"
        # In one order, whatever the server's collation: it keeps two writers from waiting for each other.
        # The parameters of the driver are out of use here, so a doubled percent sign would stay so.
        self.insert_copied = (
            f"{before} SELECT {names} FROM {copied} ORDER BY {keys} ON CONFLICT{after.replace('%%', '%')}"  # noqa: S608
        )
