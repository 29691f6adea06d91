"""How fast facts come from the stream into the store: runs a second on SQLite and PostgreSQL, beside plain upserts.

A run is three events: submitted, claimed, finished, the last with record, curve and output's end. They wait in a
broker's stream; the service's own ingest reads, checks and parses them, writes them into five tables with all their
indexes, and has the broker forget them after the commit. A peer writes one row a run, made before, into the same table
of runs: less work, and what one would write first. CPU a run says more than the rate on a machine with other work.
"""

import json
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass

import psutil
import sqlalchemy as sa
from psycopg2.extras import execute_values  # type: ignore[import-untyped]

from benchmarks.databases import opened_postgres, opened_sqlite
from benchmarks.effort import Effort
from benchmarks.figure import Figure, at_least
from benchmarks.server import Server, running_server
from benchmarks.waiting import until
from scriptfleet.domain.event import EVENT_VERSION, Event
from scriptfleet.queues.events import EventReader
from scriptfleet.queues.keys import Keys
from scriptfleet.results.heap import settle_heap
from scriptfleet.results.ingest import Ingest
from scriptfleet.results.metrics import RunMetrics, new_registry
from scriptfleet.results.turns import take_short_turns
from scriptfleet.storage.engine import Database
from scriptfleet.storage.event_rows import to_rows
from scriptfleet.storage.ingest_store import IngestStore
from scriptfleet.storage.migrate import upgrade_open
from scriptfleet.storage.quick_said import quick_said
from scriptfleet.storage.row import Row
from scriptfleet.storage.run_row import RUN_COLUMNS
from scriptfleet.storage.tables import metadata, runs
from tests import event_factory as make

_KEYS = Keys("bench")
_STREAM = _KEYS("events")
#: Rows in one statement of a peer.
_PEER_ROWS = 500
_LIMIT_SECONDS, _LOOK_SECONDS = 300.0, 0.02
_PARTS = ("service", "database", "broker")

Upsert = Callable[[Database, Sequence[Row]], None]


@dataclass(frozen=True, slots=True)
class Taken:
    """One round: ours and the peers, runs a second, and microseconds of CPU a run by part."""

    ours: float
    peers: dict[str, float]
    cpu_us: dict[str, float]


def measure(effort: Effort) -> list[Figure]:
    """Take the median of some rounds, ours and the peers in turn, on each database."""
    count, rounds = effort.of(10_000, 300), effort.of(3, 1)
    core: dict[str, Upsert] = {"SQLAlchemy Core": _by_core}
    with running_server() as server, opened_sqlite() as sqlite, opened_postgres() as postgres:
        taken = [_round(server, sqlite, core, count) for _ in range(rounds)]
        figures = _figures("SQLite", 5_000, taken, count)
        if postgres is None:
            return [*figures, Figure("ingest, PostgreSQL", None, "runs/s", at_least(10_000))]
        taken = [_round(server, postgres, {"execute_values": _by_values, **core}, count) for _ in range(rounds)]
        return [*figures, *_figures("PostgreSQL", 10_000, taken, count)]


def _figures(name: str, floor: float, taken: Sequence[Taken], count: int) -> list[Figure]:
    rate = statistics.median(one.ours for one in taken)
    cpu = {part: statistics.median(one.cpu_us[part] for one in taken) for part in _PARTS}
    detail = {"rounds": len(taken), "runs": count, **{f"{part} CPU us/run": round(cpu[part], 1) for part in _PARTS}}
    peers = {peer: statistics.median(one.peers[peer] for one in taken) for peer in taken[0].peers}
    rates = [
        Figure(f"ingest, {name}", rate, "runs/s", at_least(floor), f"{peer} upsert, 1 row a run", peers[peer], detail)
        for peer in peers
    ]
    return [*rates, *(Figure(f"CPU a run, {name}, {part}", cpu[part], "us") for part in _PARTS if cpu[part])]


def _round(server: Server, database: Database, peers: dict[str, Upsert], count: int) -> Taken:
    upgrade_open(database)
    events = [event for _ in range(count) for event in make.whole_job()]
    whole = [dict(zip(RUN_COLUMNS, row.values(), strict=True)) for row in to_rows(events).finished.values()]
    found = {peer: _rate(database, whole, upsert) for peer, upsert in peers.items()}
    return _ours(server, database, events, found)


def _ours(server: Server, database: Database, events: Sequence[Event], peers: dict[str, float]) -> Taken:
    _empty(database)
    _fill(server, events)
    source = EventReader(server.client, _KEYS, "bench", quick_read=quick_said)
    ingest = Ingest(source, IngestStore(database), RunMetrics(new_registry(), most_scripts=100).observe)
    # As the service does; what this process holds beside is the benchmark's own.
    settle_heap()
    take_short_turns()
    before, began = _cpu_seconds(server, database), time.perf_counter()
    ingest.start()
    until(lambda: not source.backlog(), "all facts to be stored", _LIMIT_SECONDS, _LOOK_SECONDS)
    wall, after, runs_taken = time.perf_counter() - began, _cpu_seconds(server, database), len(events) / 3
    ingest.stop()
    cpu_us = {part: (after[part] - before[part]) / runs_taken * 1e6 for part in _PARTS}
    return Taken(runs_taken / wall, peers, cpu_us)


def _fill(server: Server, events: Sequence[Event]) -> None:
    server.empty()
    pipeline = server.client.pipeline(transaction=False)
    for event in events:
        fields = {"v": EVENT_VERSION, "t": event.type, "j": event.job_id, "r": event.revision, "at": event.at_ms}
        pipeline.xadd(_STREAM, {**fields, "d": json.dumps(event.data, separators=(",", ":"))})
    pipeline.execute()


def _cpu_seconds(server: Server, database: Database) -> dict[str, float]:
    return {
        "service": time.process_time(),
        "database": sum(_cpu_of(process) for process in _backends(database)),
        "broker": _cpu_of(server.process),
    }


def _backends(database: Database) -> list[psutil.Process]:
    if database.is_sqlite:
        return []
    with database.reading() as connection:
        backend = connection.scalar(sa.text("SELECT pg_backend_pid()"))
    parent = psutil.Process(backend).parent()
    return parent.children() if parent else []


def _cpu_of(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _rate(database: Database, rows: Sequence[Row], upsert: Upsert) -> float:
    _empty(database)
    began = time.perf_counter()
    for start in range(0, len(rows), _PEER_ROWS):
        upsert(database, rows[start : start + _PEER_ROWS])
    return len(rows) / (time.perf_counter() - began)


def _empty(database: Database) -> None:
    names = [table.name for table in metadata.sorted_tables]
    with database.writing() as connection:
        # What was deleted would be in the way of the next.
        statements = (
            [f"DELETE FROM {name}" for name in names] if database.is_sqlite else [f"TRUNCATE {', '.join(names)}"]
        )
        for statement in statements:
            connection.execute(sa.text(statement))


def _by_core(database: Database, rows: Sequence[Row]) -> None:
    insert = database.insert_into(runs)
    chosen = {name: insert.excluded[name] for name in rows[0] if name != "run_id"}
    with database.writing() as connection:
        connection.execute(insert.on_conflict_do_update(index_elements=[runs.c.run_id], set_=chosen), rows)


def _by_values(database: Database, rows: Sequence[Row]) -> None:
    names = list(rows[0])
    chosen = ", ".join(f"{name} = excluded.{name}" for name in names if name != "run_id")
    # Names are those of our own columns.
    statement = f"INSERT INTO runs ({', '.join(names)}) VALUES %s ON CONFLICT (run_id) DO UPDATE SET {chosen}"
    values = [tuple(_plain(row[name]) for name in names) for row in rows]
    with database.writing() as connection, closing(connection.connection.cursor()) as cursor:
        execute_values(cursor, statement, values, page_size=_PEER_ROWS)


def _plain(value: object) -> object:
    return json.dumps(value) if isinstance(value, dict | list) else value
