"""Brings a database to the schema of this version, and tells which one it has."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from scriptfleet.errors import StoreUnreachable
from scriptfleet.storage.engine import Database, open_store

_FOLDER = Path(__file__).with_name("migrations")

#: Any number, the same in all versions: two servers that start at once migrate one after the other.
_UPGRADE_LOCK = 7_251_530_417


def head() -> str:
    """Give the schema that this version of the package needs."""
    return str(_scripts().get_current_head())


def known_schemas() -> frozenset[str]:
    """Give this version's schema and all before it."""
    return frozenset(script.revision for script in _scripts().walk_revisions())


def current(url: str) -> str | None:
    """Give the schema that the database has; None for an empty one. Raises StoreUnreachable."""
    database = open_store(url)
    try:
        return current_of(database)
    finally:
        database.close()


def current_of(database: Database) -> str | None:
    """Give the schema of an open database; None for an empty one."""
    with database.reading() as connection:
        return _read_current(connection)


def require_current(database: Database) -> None:
    """Raise StoreUnreachable, with what to do, unless the database has the schema that this version needs."""
    found = current_of(database)
    _refuse_newer(database, found)
    if found != head():
        reason = f"its schema is {found or 'missing'}, this version needs {head()}: run `scriptfleet db upgrade`"
        raise StoreUnreachable(database.shown_url, reason)


@contextmanager
def opened(url: str, *, upgrades: bool = False) -> Iterator[Database]:
    """Open a database that is there, with the schema that this version needs; ``upgrades`` brings it to that first.

    Raises StoreUnreachable when it is not there or of another schema.
    """
    database = open_store(url, create=False)
    try:
        if upgrades:
            upgrade_open(database)
        require_current(database)
        yield database
    finally:
        database.close()


def upgrade(url: str) -> None:
    """Bring the database to the schema of this version, in one transaction; no row is lost.

    Raises StoreUnreachable when it is away or its schema is newer than this version.
    """
    database = open_store(url)
    try:
        upgrade_open(database)
    finally:
        database.close()


def upgrade_open(database: Database) -> None:
    """Do what upgrade() does, on an open database."""
    with database.writing() as connection:
        if not database.is_sqlite:
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_UPGRADE_LOCK)))
        _refuse_newer(database, _read_current(connection))
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _read_current(connection: sa.Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _refuse_newer(database: Database, found: str | None) -> None:
    if found is not None and found not in known_schemas():
        reason = f"its schema {found} is newer than this version of scriptfleet knows ({head()}): upgrade scriptfleet"
        raise StoreUnreachable(database.shown_url, reason)


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())


def _config() -> Config:
    config = Config()
    # A percent sign in the folder's name would be read as an interpolation.
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
