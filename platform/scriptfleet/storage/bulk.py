"""Writes many rows with one statement. On SQLite it is a prepared one; on PostgreSQL a list of values, or COPY.

PostgreSQL takes as long to read a value in a statement as to store it. So many rows that are new are copied into the
table itself; many that may be there are copied into a table of the session's own, and merged from there.
"""

import json
import re
from collections.abc import Collection, Iterable, Sequence
from contextlib import closing
from typing import Any

import msgspec
import psycopg2.errors  # type: ignore[import-untyped]
import sqlalchemy as sa
from psycopg2.extras import execute_values  # type: ignore[import-untyped]
from sqlalchemy.dialects import postgresql, sqlite

from scriptfleet.storage.copy_text import OPTIONS, CopyFile
from scriptfleet.storage.row import Row

Insert = postgresql.Insert | sqlite.Insert
#: Of one row, in the order of its columns in their table.
Values = tuple[object, ...]

#: Fewer rows go faster as a list of values: COPY takes two statements more.
_LEAST_COPIED = 20

_ON_CONFLICT = " ON CONFLICT"
_VALUES, _CONFLICT = " VALUES (", ") ON CONFLICT"
_NAMED_MARK = re.compile(r"%\(\w+\)s")


class WrittenMeanwhile(Exception):
    """Rows that were not there have come from another writer."""


class BulkInsert:
    """An INSERT … ON CONFLICT for rows that all have the same columns; built once, then used for every batch."""

    def __init__(self, statement: Insert, columns: Sequence[str], dialect: sa.Dialect) -> None:
        # As SQLAlchemy orders them.
        columns = [column.name for column in statement.table.c if column.name in columns]
        self._columns, self._key = columns, columns[0]
        # What fails ends the transaction anyway. Otherwise SQLite, since a table has triggers, would copy each page
        # that a row changes, to take the row alone back: a third of the time.
        said = statement.prefix_with("OR FAIL", dialect="sqlite")
        self._text = str(said.compile(dialect=dialect, column_keys=columns))
        # To look at each row for what may be there takes SQLite, since a table has triggers, two thirds more.
        self._text_of_new = self._text.partition(_ON_CONFLICT)[0]
        of_json = {column.name for column in statement.table.c if isinstance(column.type, sa.JSON)}
        self._json_places = [place for place, name in enumerate(columns) if name in of_json]
        self._has_bytes = any(isinstance(column.type, sa.LargeBinary) for column in statement.table.c)
        self._of_postgres = _Postgres(statement, columns, dialect) if isinstance(statement, postgresql.Insert) else None

    def write(self, connection: sa.Connection, rows: Sequence[Row], known: Collection[str] | None) -> set[str]:
        """Write rows as write_values() does; a column that a row lacks is null."""
        values = (tuple(map(row.get, self._columns)) for row in rows)
        return self.write_values(connection, [str(row[self._key]) for row in rows], values, known)

    def write_values(
        self, connection: sa.Connection, keys: Sequence[str], rows: Iterable[Values], known: Collection[str] | None
    ) -> set[str]:
        """Write the values of rows, none of them twice. Give the keys of which none was there.

        ``keys`` are those of the rows, by the first column, and ``known`` those that were there a moment ago; None
        where nobody looked. The values may be made while they are written. Raises WrittenMeanwhile when others have
        come since: the transaction is of no use any more.
        """
        new = set() if known is None else set(keys).difference(known)
        if self._of_postgres is None:
            self._write_prepared(connection, rows, new)
            return new
        if len(new) < _LEAST_COPIED:
            self._merge(connection, self._of_postgres, [*rows])
            return set()
        if new.issuperset(keys):
            self._copy(connection, self._of_postgres, rows)
            return new
        some = [*rows]
        self._copy(connection, self._of_postgres, [row for row in some if row[0] in new])
        self._merge(connection, self._of_postgres, [row for row in some if row[0] not in new])
        return new

    def _write_prepared(self, connection: sa.Connection, rows: Iterable[Values], new: Collection[str]) -> None:
        some = [*self._with_json_text(rows)]
        # Straight to the driver: SQLAlchemy would look at each value of each row.
        if old := [row for row in some if row[0] not in new]:
            connection.exec_driver_sql(self._text, old)
        if not new:
            return
        try:
            connection.exec_driver_sql(self._text_of_new, [row for row in some if row[0] in new])
        except sa.exc.IntegrityError as fault:
            raise WrittenMeanwhile from fault

    def _copy(self, connection: sa.Connection, said: "_Postgres", rows: Iterable[Values]) -> None:
        with closing(connection.connection.cursor()) as cursor:
            try:
                self._send(cursor, said.copy, rows)
            except psycopg2.errors.UniqueViolation as fault:
                raise WrittenMeanwhile from fault

    def _merge(self, connection: sa.Connection, said: "_Postgres", rows: Sequence[Values]) -> None:
        if not rows:
            return
        with closing(connection.connection.cursor()) as cursor:
            if len(rows) >= _LEAST_COPIED:
                cursor.execute(said.make_staging)
                self._send(cursor, said.copy_to_staging, rows)
                cursor.execute(said.insert_staged)
            else:
                # The driver's own executemany sends a statement a row, which takes three times as long.
                execute_values(cursor, said.insert_values, self._with_json_text(rows), said.row)

    def _send(self, cursor: Any, statement: str, rows: Iterable[Values]) -> None:
        file = CopyFile(self._with_json_text(rows), has_bytes=self._has_bytes)
        try:
            cursor.copy_expert(statement, file)
        except psycopg2.Error:
            if file.fault:
                raise file.fault from None
            raise

    def _with_json_text(self, rows: Iterable[Values]) -> Iterable[Values]:
        return map(self._one_with_json_text, rows) if self._json_places else rows

    def _one_with_json_text(self, row: Values) -> Values:
        said = [place for place in self._json_places if row[place] is not None]
        if not said:
            return row
        values = [*row]
        for place in said:
            values[place] = _json_text(values[place])
        return tuple(values)


def _json_text(value: object) -> str:
    try:
        return msgspec.json.encode(value).decode()
    except OverflowError:
        # A whole number of more than 64 bits.
        return json.dumps(value)


class _Postgres:
    """The texts of the statements."""

    def __init__(self, statement: postgresql.Insert, columns: Sequence[str], dialect: sa.Dialect) -> None:
        text = str(statement.compile(dialect=dialect, column_keys=list(columns)))
        before, _, rest = text.partition(_VALUES)
        row, _, after = rest.partition(_CONFLICT)
        table, names = statement.table.name, ", ".join(columns)
        # Rows of one table come in several forms.
        staging = f"staging_{table}_{len(columns)}"
        texts = [column.name for column in statement.table.primary_key if isinstance(column.type, sa.Text)]
        keys = ", ".join(f'{name} COLLATE "C"' for name in texts)
        #: One mark stands for all rows, and the form of one row, by place instead of by name.
        self.insert_values, self.row = f"{before} VALUES %s ON CONFLICT{after}", f"({_NAMED_MARK.sub('%s', row)})"
        # No value is put in: names are those of our own tables.
        self.make_staging = (
            f"CREATE TEMPORARY TABLE IF NOT EXISTS {staging} ON COMMIT DELETE ROWS "  # noqa: S608
            f"AS SELECT {names} FROM {table} WITH NO DATA"
        )
        self.copy = f"COPY {table} ({names}) FROM STDIN WITH ({OPTIONS})"
        self.copy_to_staging = f"COPY {staging} ({names}) FROM STDIN WITH ({OPTIONS})"
        # In one order, whatever the server's collation: it keeps two writers from waiting for each other.
        # The parameters of the driver are out of use here, so a doubled percent sign would stay so.
        self.insert_staged = (
            f"{before} SELECT {names} FROM {staging} ORDER BY {keys} ON CONFLICT{after.replace('%%', '%')}"  # noqa: S608
        )
