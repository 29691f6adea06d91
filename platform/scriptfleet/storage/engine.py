"""Opens the database: SQLite in a file, or PostgreSQL. Gives connections whose failures are errors of our own."""

import json
import os
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg2  # type: ignore[import-untyped]
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError, StatementError

from scriptfleet.config import without_password
from scriptfleet.errors import InvalidValue, StoreUnreachable
from scriptfleet.storage.packed import add_packed

ACCEPTED = "sqlite:////FOLDER/FILE.db or postgresql://USER@HOST:PORT/NAME"

#: How long a writer waits for another one to commit, milliseconds.
SQLITE_BUSY_TIMEOUT_MS = 10_000
_LOCKED_SECONDS = 0.02
#: Room for the pages that a batch of events changes: with less, some are written twice. Taken only where it is used.
_SQLITE_CACHE_KIB = 16 * 1024
#: Pages of 4 KiB in the log before they go into the file: what several batches change of a page goes there once.
_SQLITE_LOG_PAGES = 4000
POSTGRES_CONNECT_SECONDS = 5

#: Classes of SQLSTATE that are about the values given: the same row is refused whenever it comes.
_ABOUT_VALUES = ("21", "22", "23", "54")
#: Classes that are about tables, columns and rights.
_ABOUT_SCHEMA = ("3D", "3F", "42")
_SQLITE_ABOUT_SCHEMA = ("no such table", "no such column", "has no column", "readonly database")


class Database:
    """An open database. Threads may share it; each block has a connection and a transaction of its own."""

    def __init__(self, engine: sa.Engine, shown_url: str) -> None:
        self.engine = engine
        #: The address as it may be shown.
        self.shown_url = shown_url

    @property
    def is_sqlite(self) -> bool:
        """Whether it is SQLite; PostgreSQL otherwise."""
        return self.engine.dialect.name == "sqlite"

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """Give a connection to read with.

        Raises StoreUnreachable when the database is away or lacks the schema; its reason tells which.
        """
        with self._own_errors(), self.engine.connect() as connection:
            yield connection

    @contextmanager
    def snapshot(self) -> Iterator[sa.Connection]:
        """Give a connection to read with, whose statements all see the database as it was at the first of them.

        Raises StoreUnreachable as reading() does.
        """
        with self.reading() as connection:
            # SQLite's transactions are so anyway.
            yield connection if self.is_sqlite else connection.execution_options(isolation_level="REPEATABLE READ")

    @contextmanager
    def writing(self, *, is_synced: bool = False) -> Iterator[sa.Connection]:
        """Give a connection whose changes are committed together at the end of the block, or not at all.

        With ``is_synced`` they lie on the disk then, and no loss of power takes them back: SQLite otherwise leaves it
        to the system when they do; PostgreSQL always waits, unless it is told not to.

        Raises StoreUnreachable as reading() does, and InvalidValue for values that the database refuses.
        """
        with self._own_errors(), self.engine.connect() as plain:
            connection = plain.execution_options(scriptfleet_writes=True, scriptfleet_syncs=is_synced)
            with connection.begin():
                yield connection

    def insert_into(self, table: sa.Table) -> "postgresql.Insert | sqlite.Insert":
        """Give an INSERT that knows ON CONFLICT in this database's words."""
        return sqlite.insert(table) if self.is_sqlite else postgresql.insert(table)

    def one_of(self, column: sa.Column[str], keys: Iterable[str]) -> sa.ColumnElement[bool]:
        """Give the condition that a column is one of many keys: one parameter, however many they are."""
        if self.is_sqlite:
            listed = sa.func.json_each(json.dumps(list(keys))).table_valued("value")
            return column.in_(sa.select(listed.c.value))
        return column == sa.any_(sa.literal(list(keys), postgresql.ARRAY(sa.Text)))

    def ping(self) -> None:
        """Ask the database for a sign of life; raises StoreUnreachable."""
        with self.reading() as connection:
            connection.execute(sa.text("SELECT 1"))

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()

    @contextmanager
    def _own_errors(self) -> Iterator[None]:
        try:
            yield
        # The driver's own errors come from statements that go to it directly (see bulk.py).
        except (SQLAlchemyError, psycopg2.Error) as fault:
            raise self._own_error(fault) from fault

    def _own_error(self, fault: Exception) -> InvalidValue | StoreUnreachable:
        cause = _cause(fault)
        is_of_values = isinstance(fault, StatementError) and not isinstance(fault, DBAPIError)
        if is_of_values or _is_about_values(cause):
            return InvalidValue("row", _first_line(cause), "values that the database takes")
        if _is_about_schema(cause):
            reason = f"its tables or rights do not fit ({_first_line(cause)}): run `scriptfleet db upgrade`"
            return StoreUnreachable(self.shown_url, reason)
        return StoreUnreachable(self.shown_url, _first_line(cause))


def open_store(url: str, *, create: bool = True) -> Database:
    """Open the database at ``url``; nothing is asked of it yet, except that a missing SQLite file is made.

    Without ``create``, a missing file is StoreUnreachable instead.

    Raises InvalidValue for an address that cannot be, StoreUnreachable for a folder that cannot be made.
    """
    parsed = _parse(url)
    shown = without_password(url)
    if parsed.get_backend_name() == "sqlite":
        return Database(_open_sqlite(parsed, shown, create), shown)
    return Database(_open_postgresql(parsed), shown)


def _parse(url: str) -> sa.URL:
    shown = without_password(url)
    try:
        parsed = sa.make_url(url.replace("postgres://", "postgresql://", 1))
    except (ArgumentError, ValueError) as fault:
        raise InvalidValue("database", shown, ACCEPTED) from fault
    backend = parsed.get_backend_name()
    if backend not in {"sqlite", "postgresql"} or not parsed.database or ":memory:" in parsed.database:
        raise InvalidValue("database", shown, ACCEPTED)
    # Named in full: which driver stands behind the bare name changed with SQLAlchemy 2.1.
    return parsed.set(drivername="sqlite+pysqlite" if backend == "sqlite" else "postgresql+psycopg2")


def _open_sqlite(url: sa.URL, shown: str, create: bool) -> sa.Engine:
    path = Path(str(url.database))
    if create:
        _make_file(path, shown)
    elif not path.exists():
        raise StoreUnreachable(shown, "no such file: start a fleet with `scriptfleet up`, or set --database")
    engine = sa.create_engine(url, pool_size=10, max_overflow=40)
    sa.event.listen(engine, "connect", _prepare_sqlite)
    sa.event.listen(engine, "begin", _begin_sqlite)
    return engine


def _make_file(path: Path, shown: str) -> None:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # What scripts print may be private, so only the owner reads it.
        os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
    except OSError as fault:
        raise StoreUnreachable(shown, fault.strerror or str(fault)) from fault


def _prepare_sqlite(connection: Any, _record: object) -> None:
    # The driver would begin transactions late, at the first write: begin is said by _begin_sqlite instead.
    connection.isolation_level = None
    connection.execute(f"PRAGMA busy_timeout = {SQLITE_BUSY_TIMEOUT_MS}")
    _write_ahead(connection)
    add_packed(connection)
    sizes = (f"cache_size = -{_SQLITE_CACHE_KIB}", f"wal_autocheckpoint = {_SQLITE_LOG_PAGES}")
    for pragma in ("synchronous = NORMAL", "foreign_keys = ON", *sizes):
        connection.execute(f"PRAGMA {pragma}")


def _write_ahead(connection: Any) -> None:
    """Have the file written ahead of time. While another does the same it is locked, whatever the busy timeout."""
    until = time.monotonic() + SQLITE_BUSY_TIMEOUT_MS / 1000
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as fault:
            if "locked" not in str(fault) or time.monotonic() > until:
                raise
            threading.Event().wait(_LOCKED_SECONDS)
        else:
            return


def _begin_sqlite(connection: sa.Connection) -> None:
    # A writer takes the lock at once: a read that turns into a write fails, whatever the busy timeout.
    said = connection.get_execution_options()
    if said.get("scriptfleet_writes"):
        # Cannot be said within a transaction, and holds until it is said otherwise.
        connection.exec_driver_sql(f"PRAGMA synchronous = {'FULL' if said.get('scriptfleet_syncs') else 'NORMAL'}")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if said.get("scriptfleet_writes") else "BEGIN")


def _open_postgresql(url: sa.URL) -> sa.Engine:
    return sa.create_engine(
        url,
        pool_size=10,
        max_overflow=40,
        pool_pre_ping=True,
        connect_args={"connect_timeout": POSTGRES_CONNECT_SECONDS, "application_name": "scriptfleet"},
    )


def _cause(fault: Exception) -> BaseException:
    return fault.orig if isinstance(fault, StatementError) and fault.orig is not None else fault


def _is_about_values(cause: BaseException) -> bool:
    if isinstance(cause, psycopg2.Error) and cause.pgcode:
        return str(cause.pgcode).startswith(_ABOUT_VALUES)
    if isinstance(cause, sqlite3.ProgrammingError | sqlite3.InterfaceError):
        return "binding" in str(cause)
    # Without a code, it is the driver that refuses to send the value.
    refused = (psycopg2.DataError, psycopg2.IntegrityError, psycopg2.ProgrammingError)
    return isinstance(cause, (*refused, sqlite3.DataError, sqlite3.IntegrityError))


def _is_about_schema(cause: BaseException) -> bool:
    if isinstance(cause, psycopg2.Error):
        return str(cause.pgcode or "").startswith(_ABOUT_SCHEMA)
    return isinstance(cause, sqlite3.OperationalError) and any(part in str(cause) for part in _SQLITE_ABOUT_SCHEMA)


def _first_line(fault: BaseException) -> str:
    return str(fault).strip().partition("\n")[0]
