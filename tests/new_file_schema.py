"""Writes storage/new_file.sql anew: `python -m tests.new_file_schema`, after each migration."""

import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

from scriptfleet.storage import local_history
from scriptfleet.storage.migrate import head, upgrade

FILE = Path(local_history.__file__).with_name("new_file.sql")


def as_migrated() -> str:
    """Give the schema that the migrations make of an empty SQLite file, as statements."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "store.db"
        upgrade(f"sqlite:///{path}")
        with closing(sqlite3.connect(path)) as connection:
            found = connection.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY rowid").fetchall()
    statements = [*(sql for (sql,) in found), f"INSERT INTO alembic_version VALUES ('{head()}')"]
    return "".join(f"{sql};\n" for sql in statements)


if __name__ == "__main__":
    FILE.write_text(as_migrated())
