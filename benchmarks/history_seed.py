"""A history of many runs, made and written fast: seeded random, the same for the same size, ending now.

Some scripts run every few minutes and most seldom, as in a fleet; costs are log-normal and differ by script.
"""

import json
import math
import random
import time
import uuid
import zlib
from dataclasses import dataclass

import sqlalchemy as sa

from scriptfleet.domain.sample import Sample
from scriptfleet.storage import curve_bytes
from scriptfleet.storage.bulk import BulkInsert
from scriptfleet.storage.engine import Database
from scriptfleet.storage.row import Row
from scriptfleet.storage.tables import curves, jobs, labels, metadata, outputs, runs

YEAR_SECONDS = 365 * 86_400
SCRIPTS = 500
#: A label of a tenth of the runs of the busiest script.
SHARD = ("shard", "shard-3")
_BATCH = 5_000
#: One run of so many has a curve and output of its own: they are the bulk of a real store, and no query reads them.
_WITH_PARTS = 50
_OUTCOMES = ("succeeded",) * 94 + ("failed",) * 4 + ("timed_out", "out_of_memory")
_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Seeded:
    """What is known of a seeded history, for queries over it."""

    runs: int
    #: The script that ran most often.
    busiest: str
    #: A run that has curve and output.
    whole_run_id: str
    #: Seconds since the epoch.
    first_at: float
    last_at: float


def seed(database: Database, count: int, ends_at: float | None = None) -> Seeded:
    """Write so many runs over the year before ``ends_at`` (else now) into a migrated, empty database."""
    until = time.time() if ends_at is None else ends_at
    inserts = {table.name: _insert(database, table) for table in (jobs, runs, labels, curves, outputs)}
    made, whole = _Maker(count, until), ""
    _indexes(database, "drop")
    for start in range(0, count, _BATCH):
        rows = made.rows(start, min(count, start + _BATCH))
        whole = whole or str(rows["curves"][0]["run_id"])
        with database.writing() as connection:
            if database.is_sqlite:
                # Ids are random, so that pages of all their index are written anew with each batch.
                connection.exec_driver_sql("PRAGMA cache_size = -400000")
            for name, insert in inserts.items():
                insert.write(connection, rows[name], known=None)
    _indexes(database, "create")
    _settle(database)
    return Seeded(count, _script(0), whole, until - YEAR_SECONDS, until)


def known_of(database: Database) -> Seeded:
    """Find out what is known of a store that seed() has written."""
    with database.reading() as connection:
        count, first, last = connection.execute(
            sa.select(sa.func.count(), sa.func.min(runs.c.began_at), sa.func.max(runs.c.began_at)).select_from(runs)
        ).one()
        whole = connection.scalar(sa.select(sa.func.min(outputs.c.run_id)).select_from(outputs))
    return Seeded(int(count), _script(0), str(whole), first, last)


def _insert(database: Database, table: sa.Table) -> BulkInsert:
    columns = [column.name for column in table.c]
    return BulkInsert(database.insert_into(table).on_conflict_do_nothing(), columns, database.engine.dialect)


def _indexes(database: Database, act: str) -> None:
    """Drop or create what is faster made at the end."""
    with database.writing() as connection:
        for table in (jobs, runs, labels):
            for index in sorted(table.indexes, key=lambda one: str(one.name)):
                getattr(index, act)(connection)


def _settle(database: Database) -> None:
    """Do what a server does by itself in the first minutes: statistics, and on SQLite the write-ahead log."""
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if database.is_sqlite:
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        else:
            for table in metadata.sorted_tables:
                connection.exec_driver_sql(f"VACUUM ANALYZE {table.name}")


def _script(rank: int) -> str:
    return f"script_{rank:03}.py"


class _Maker:
    def __init__(self, count: int, until: float) -> None:
        self._random = random.Random(20)
        self._step, self._until = YEAR_SECONDS / count, until
        self._count = count
        self._weights = [1 / (rank + 5) for rank in range(SCRIPTS)]

    def rows(self, start: int, end: int) -> dict[str, list[Row]]:
        found: dict[str, list[Row]] = {"jobs": [], "runs": [], "labels": [], "curves": [], "outputs": []}
        ranks = self._random.choices(range(SCRIPTS), self._weights, k=end - start)
        for number, rank in zip(range(start, end), ranks, strict=True):
            self._add(found, number, rank)
        return found

    def _add(self, found: dict[str, list[Row]], number: int, rank: int) -> None:
        at = self._until - (self._count - number) * self._step
        job, run = self._job(number, rank, at), self._run(rank, at)
        job["state"], job["last_run_id"], run["job_id"] = run["outcome"], run["run_id"], job["job_id"]
        found["jobs"].append(job)
        found["runs"].append(run)
        found["labels"].append({"job_id": job["job_id"], "name": "team", "value": f"team-{rank % 20}"})
        if rank == 0:
            found["labels"].append({"job_id": job["job_id"], "name": SHARD[0], "value": f"shard-{number % 10}"})
        if number % _WITH_PARTS == 0:
            found["curves"].append({"run_id": run["run_id"], "packed": self._curve()})
            body = zlib.compress(b"".join(b"line %d of the output\n" % line for line in range(200)))
            chunk = {"run_id": run["run_id"], "stream": "stdout", "number": 0, "body": body, "size_bytes": 4290}
            found["outputs"].append(chunk)

    def _job(self, number: int, rank: int, at: float) -> Row:
        spec = {"v": 1, "kind": "python_script", "name": _script(rank), "config": {"script": _script(rank)}}
        return {
            "job_id": str(self._uuid()),
            "kind": "python_script",
            "name": _script(rank),
            "queue": "default",
            "priority": 5,
            "group_name": f"group-{rank % 25}",
            "labels": {"team": f"team-{rank % 20}"},
            "submitted_by": f"user-{number % 10}",
            "spec": json.dumps(spec),
            "is_spec_whole": True,
            "submitted_at": at,
            "revision": 3,
            "finished_at": at + 10,
            "attempt": 1,
            "run_revision": 3,
            "started_at": at + 0.1,
        }

    def _run(self, rank: int, at: float) -> Row:
        draw = self._random
        wall = math.exp(draw.gauss(rank % 7 - 2, 0.4))
        busy, memory = draw.uniform(0.2, 0.95), 20 + (rank % 50) * 8 + draw.expovariate(0.2)
        outcome = draw.choice(_OUTCOMES)
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at)) + "+00:00"
        return {
            "run_id": str(self._uuid()),
            "name": _script(rank),
            "kind": "python_script",
            "queue": "default",
            "group_name": f"group-{rank % 25}",
            "attempt": 1,
            "worker": f"worker-{rank % 16}@host-{rank % 8}",
            "host": f"host-{rank % 8}",
            "outcome": outcome,
            "is_stale": False,
            "claimed_at": at + 0.1,
            "started_at": at + 0.1,
            "began_at": at + 0.1,
            "finished_at": at + 0.1 + wall,
            "start_time": moment,
            "end_time": moment,
            "execution_time_seconds": wall,
            "exit_code": 0 if outcome == "succeeded" else 1,
            "success": outcome == "succeeded",
            "cpu_max": busy * 130,
            "cpu_avg": busy * 100,
            "cpu_min": busy * 20,
            "user_time_seconds": wall * busy * 0.9,
            "system_time_seconds": wall * busy * 0.1,
            "memory_max_mb": memory,
            "memory_avg_mb": memory * 0.8,
            "memory_min_mb": memory * 0.3,
            "cpu_method": "rusage",
            "memory_method": "rusage",
            "io_method": "rusage",
            "page_faults_minor": int(memory * 256),
            "page_faults_major": 0,
            "num_threads": 1,
            "pids_count": 1,
            "voluntary_context_switches": draw.randrange(500),
            "involuntary_context_switches": draw.randrange(50),
            "block_io_read_bytes": draw.randrange(_MIB),
            "block_io_write_bytes": draw.randrange(_MIB),
            "stdout_lines": 200,
            "stdout_size_bytes": 4290,
            "python_version": "3.11.7",
            "platform": "Linux-6.1-x86_64",
            "queue_wait_seconds": draw.expovariate(10),
            "custom": {"rows": draw.randrange(10_000)} if rank % 5 == 0 else None,
            "artifacts": [],
        }

    def _curve(self) -> bytes:
        points = [
            Sample(at / 10, self._random.uniform(0, 100), 40 + at / 20, 1, at * 4096, at * 8192) for at in range(600)
        ]
        return curve_bytes.pack(points)

    def _uuid(self) -> uuid.UUID:
        return uuid.UUID(int=self._random.getrandbits(128), version=4)
