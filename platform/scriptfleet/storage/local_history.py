"""The history of runs on this machine: the store's own tables in a SQLite file, written without the database library.

A script may take milliseconds, and loading that library takes half a second. Rows are those of event_rows.py, so a
file written here and one written by ingest_store.py are the same; files of older versions are left to migrate.py.
"""

import json
import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from scriptfleet.domain.event import Event
from scriptfleet.errors import StoreUnreachable
from scriptfleet.storage.event_rows import CURVE_COLUMNS, TAIL_COLUMNS, Batch, JobPatch, to_rows
from scriptfleet.storage.old_rows import FORGET
from scriptfleet.storage.row import Row

#: How long a writer waits for another one to commit, seconds.
_BUSY_SECONDS: Final = 10.0
#: What the migrations make of an empty file, statement by statement.
_NEW_FILE: Final = Path(__file__).with_name("new_file.sql")

#: What a newer fact of a job that is there changes, by the revision that tells which is newer; as in ingest_store.py.
_NEWER: Final = {
    "run_revision": ("attempt", "last_run_id", "run_revision"),
    "revision": ("state", "finished_at", "reason", "due_at", "revision"),
}
_MERGE: Final = ", ".join(
    f"{name} = CASE WHEN excluded.{which} > jobs.{which} THEN excluded.{name} ELSE jobs.{name} END"
    for which, names in _NEWER.items()
    for name in names
)
#: Columns that hold JSON text.
JSON_COLUMNS: Final = frozenset({"labels", "custom", "output_data", "artifacts", "last_result", "details"})


_as_json: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class LocalHistory:
    """One file. Each method raises StoreUnreachable when it cannot be used."""

    def __init__(self, path: Path, secret_prefixes: Sequence[str] = ()) -> None:
        self._path, self._secret_prefixes = path, secret_prefixes

    def add(self, events: Sequence[Event]) -> bool:
        """Take the facts of one attempt of one job into the file, which is made when it is missing.

        The job's submitted event is among them at each attempt, and nobody else writes about the job. Gives False,
        and changes nothing, for a file with the schema of another version. Raises InvalidValue for a malformed event.
        """
        batch = to_rows(events, self._secret_prefixes)
        with self._writing() as connection:
            if not _is_current(connection):
                return False
            for patch in batch.jobs.values():
                _insert(connection, "jobs", [vars(patch)], f"ON CONFLICT (job_id) DO UPDATE SET {_MERGE}")
            _insert(connection, "runs", _runs(batch))
            _insert(connection, "labels", list(batch.labels.values()), "ON CONFLICT DO NOTHING")
            _insert(connection, "curves", [dict(zip(CURVE_COLUMNS, row, strict=True)) for row in batch.curves.values()])
            _insert(connection, "tails", [dict(zip(TAIL_COLUMNS, row, strict=True)) for row in batch.tails.values()])
            _insert(connection, "outputs", list(batch.outputs.values()))
        return True

    def forget(self, before: float) -> int:
        """Delete jobs that ended before this moment (seconds since the epoch), with their runs; give how many."""
        with self._writing() as connection:
            for statement in FORGET:
                deleted = connection.execute(statement, {"before": before}).rowcount
        return deleted

    def shrink(self) -> None:
        """Give the space of what was deleted back to the disk."""
        with self._open() as connection:
            connection.execute("VACUUM")

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._open() as connection:
            # The lock is taken at once: a read that turns into a write fails, whatever the busy timeout.
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.rollback()
                raise
            connection.commit()

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        try:
            # What scripts print may be private, so only the owner reads it.
            os.close(os.open(self._path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
            with closing(sqlite3.connect(self._path, timeout=_BUSY_SECONDS, isolation_level=None)) as connection:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = NORMAL")
                yield connection
        except (sqlite3.Error, OSError) as fault:
            reason = fault.strerror if isinstance(fault, OSError) else None
            raise StoreUnreachable(str(self._path), reason or str(fault)) from fault


def schema() -> list[str]:
    """Give the statements that make a new file."""
    return [part for part in _NEW_FILE.read_text().split(";\n") if part.strip()]


def _is_current(connection: sqlite3.Connection) -> bool:
    has_schema = "SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'"
    if connection.execute(has_schema).fetchone() is None:
        for statement in schema():
            connection.execute(statement)
        return True
    found = connection.execute("SELECT version_num FROM alembic_version").fetchall()
    # The last statement of a new file says which schema it is.
    return bool(found) and f"'{found[0][0]}'" in schema()[-1]


def _runs(batch: Batch) -> list[Row]:
    """Give the rows of runs, the claim and the record of each together."""
    for run_id, end in batch.finished.items():
        if claim := batch.claimed.pop(run_id, None):
            end.take_claim(claim["claimed_at"])
    rows = [*batch.claimed.values(), *(end.row() for end in batch.finished.values())]
    return [{**row, **_of_job(batch.jobs[str(row["job_id"])])} for row in rows]


def _of_job(patch: JobPatch) -> Row:
    return {"name": patch.name, "kind": patch.kind, "queue": patch.queue, "group_name": patch.group_name}


def _insert(connection: sqlite3.Connection, table: str, rows: Sequence[Mapping[str, object]], more: str = "") -> None:
    for row in rows:
        names = ", ".join(row)
        marks = ", ".join("?" * len(row))
        # Names are those of our own columns; every value is bound.
        statement = f"INSERT INTO {table} ({names}) VALUES ({marks}) {more}"  # noqa: S608
        connection.execute(statement, [_bound(*item) for item in row.items()])


def _bound(name: str, value: object) -> object:
    return _as_json(value) if name in JSON_COLUMNS and value is not None else value
