"""Takes batches of events into the tables. Repeats, late arrivals and several writers at once change nothing."""

from collections.abc import Callable, Collection, Mapping, Sequence
from operator import attrgetter
from typing import Any, NamedTuple

import sqlalchemy as sa

from scriptfleet.domain.event import Event
from scriptfleet.domain.run import RunRecord
from scriptfleet.domain.state import State
from scriptfleet.storage.bulk import BulkInsert, Insert, WrittenMeanwhile
from scriptfleet.storage.engine import Database
from scriptfleet.storage.event_rows import Batch, to_rows
from scriptfleet.storage.known_rows import OF_JOB, KnownRows
from scriptfleet.storage.row import Row
from scriptfleet.storage.run_row import RUN_COLUMNS, FinishedRow, JobNames
from scriptfleet.storage.tables import audit, curves, jobs, labels, outputs, runs, tails

#: How often a batch is written on the strength of a look before it; another service's may come between again.
_QUICK_TRIES = 3

_SPEC = (
    "kind",
    "name",
    "queue",
    "priority",
    "group_name",
    "labels",
    "schedule",
    "submitted_by",
    "spec",
    "signature",
    "is_spec_whole",
)
_STATE = ("state", "revision", "finished_at", "reason", "due_at")
_LAST_RUN = ("attempt", "last_run_id", "run_revision")
#: Known from a claim or from no event at all, so that a record never sets it.
_NOT_IN_RECORD = frozenset({"run_id", "claimed_at", "began_at", *OF_JOB})

#: Error type of a run that the broker forgot.
_FORGOTTEN = "RunForgotten"
#: The columns of each kind of row of a run, as event_rows.py makes them.
_RUN = ("run_id", "job_id", *OF_JOB)
_CLAIM = ("attempt", "worker", "claimed_at", "began_at")
#: What a job's row is made of.
_of_patch = attrgetter(*(column.name for column in jobs.c))
_LOSS = ("outcome", "finished_at", "began_at", "success", "error_type", "error_message")


class FinishedRun(NamedTuple):
    """A run whose record was stored now, for the first time."""

    row: FinishedRow
    #: What told of its end.
    event: Event

    @property
    def record(self) -> RunRecord:
        """The record, read anew each time."""
        return RunRecord.from_dict(self.event.data["record"])


class IngestStore:
    """Applies events. Its statements are built once, since a batch is written every few milliseconds."""

    def __init__(self, database: Database, secret_prefixes: Sequence[str] = ()) -> None:
        self._database, self._secret_prefixes = database, secret_prefixes
        self._jobs = self._bulk(jobs, _jobs_upsert, [column.name for column in jobs.c])
        self._claimed = self._bulk(runs, _claimed_upsert, [*_RUN, *_CLAIM])
        self._finished = self._bulk(runs, _finished_upsert, RUN_COLUMNS)
        self._lost = self._bulk(runs, _lost_upsert, [*_RUN, *_LOSS])
        self._ignoring = {
            table.name: self._bulk(table, _ignore_repeats, [column.name for column in table.c])
            for table in (audit, curves, tails, outputs, labels)
        }

    def fold(self, events: Sequence[Event]) -> Batch:
        """Give the rows that events make, before the database is asked; raises InvalidValue when one is malformed."""
        return to_rows(events, self._secret_prefixes)

    def apply(self, events: Sequence[Event], folded: Batch | None = None) -> list[FinishedRun]:
        """Take events into the tables, in one transaction; give the runs whose records are new.

        ``folded`` is what fold() made of them: it serves one call, which fills in what the database knows.

        Raises InvalidValue when an event is malformed or refused by the database: then none was taken. Raises
        StoreUnreachable when the database is away.
        """
        for _ in range(_QUICK_TRIES):
            try:
                return self._write(events, folded or self.fold(events), is_careful=False)
            except WrittenMeanwhile:
                # Another service has stored facts of the same jobs since the look for them; now they are there.
                folded = None
        return self._write(events, self.fold(events), is_careful=True)

    def _write(self, events: Sequence[Event], batch: Batch, *, is_careful: bool) -> list[FinishedRun]:
        # The broker forgets the facts then.
        with self._database.writing(is_synced=True) as connection:
            known = KnownRows(self._database, connection)
            known.look_for_jobs(batch.jobs)
            if known.ended:
                batch = to_rows(events, self._secret_prefixes, known.ended)
            # The jobs' rows come first: they are the lock that orders two writers with events of one job.
            made = self._write_jobs(connection, batch, None if is_careful else known.jobs)
            known.look_for_runs({**batch.claimed, **batch.finished, **batch.lost})
            _join_claims(batch, known.recorded)
            _fill_names(batch, known.names_of(batch.jobs))
            self._write_runs(connection, batch, known, is_careful=is_careful)
            _give_up_forgotten(connection, batch, made)
            self._name_earlier_runs(connection, batch, made)
        return [
            FinishedRun(row, batch.ends[run_id])
            for run_id, row in batch.finished.items()
            if run_id not in known.recorded
        ]

    def _write_jobs(self, connection: sa.Connection, batch: Batch, known: Collection[str] | None) -> set[str]:
        job_ids = sorted(batch.jobs)
        return self._jobs.write_values(
            connection, job_ids, (_of_patch(batch.jobs[job_id]) for job_id in job_ids), known
        )

    def _write_runs(self, connection: sa.Connection, batch: Batch, known: KnownRows, *, is_careful: bool) -> None:
        there = None if is_careful else known.runs
        self._claimed.write(connection, _sorted(batch.claimed), there)
        ended = sorted(batch.finished)
        self._finished.write_values(connection, ended, (batch.finished[run_id].values() for run_id in ended), there)
        # Their rows may have been made by this batch, just now.
        self._lost.write(connection, _sorted(batch.lost), None)
        recorded = None if is_careful else known.recorded
        for name, of_runs in (("curves", batch.curves), ("tails", batch.tails)):
            rows = sorted(of_runs.values())
            self._ignoring[name].write_values(connection, [row[0] for row in rows], rows, recorded)
        self._ignoring["labels"].write(connection, _sorted(batch.labels), None if is_careful else known.jobs)
        for name, rarer in (("audit", batch.audit), ("outputs", batch.outputs)):
            self._ignoring[name].write(connection, _sorted(rarer), None)

    def _name_earlier_runs(self, connection: sa.Connection, batch: Batch, made: Collection[str]) -> None:
        submitted = sorted(patch.job_id for patch in batch.jobs.values() if patch.spec and patch.job_id not in made)
        if submitted:
            nameless = self._database.one_of(runs.c.job_id, submitted) & runs.c.name.is_(None)
            values = {name: sa.func.coalesce(runs.c[name], jobs.c[name]) for name in OF_JOB}
            update = sa.update(runs).where(nameless & (runs.c.job_id == jobs.c.job_id)).values(values)
            connection.execute(update)

    def _bulk(self, table: sa.Table, upsert: Callable[[Insert], Insert], columns: Sequence[str]) -> BulkInsert:
        insert = upsert(self._database.insert_into(table))
        return BulkInsert(insert, columns, self._database.engine.dialect)


def _ignore_repeats(insert: Insert) -> Insert:
    return insert.on_conflict_do_nothing()


def _sorted(rows: Mapping[Any, Row]) -> list[Row]:
    return [rows[key] for key in sorted(rows)]


def _give_up_forgotten(connection: sa.Connection, batch: Batch, made: Collection[str]) -> None:
    """End runs that are open while another has ended their job: the broker has forgotten them, with what they told.

    Should their own end come after all, from a batch that was left lying, it takes the place of this.
    """
    # A job that this batch made has no runs but the batch's; open are those whose claim alone is in it.
    open_still = {str(row["job_id"]) for row in batch.claimed.values()}
    looked_at = sorted(job_id for job_id in batch.ended if job_id not in made or job_id in open_still)
    if not looked_at:
        return
    ended_at = sa.select(jobs.c.finished_at).where(jobs.c.job_id == runs.c.job_id).scalar_subquery()
    message = "the broker lost what was told of its end"
    lost = {"outcome": str(State.LOST), "success": False, "error_type": _FORGOTTEN, "error_message": message}
    is_open = runs.c.job_id.in_(looked_at) & runs.c.outcome.is_(None)
    connection.execute(sa.update(runs).where(is_open).values(finished_at=ended_at, **lost))


def _fill_names(batch: Batch, names: Mapping[str, JobNames]) -> None:
    for row in batch.finished.values():
        row.take_names(names[row.job_id])
    for rows in (batch.claimed, batch.lost):
        for claim in rows.values():
            claim.update(names[str(claim["job_id"])]._asdict())


def _join_claims(batch: Batch, recorded: Collection[str]) -> None:
    """Have a run whose record is new written once, with its claim; a record that is there keeps all it has."""
    for run_id, row in batch.finished.items():
        if run_id not in recorded and (claim := batch.claimed.pop(run_id, None)):
            row.take_claim(claim["claimed_at"])


def _jobs_upsert(insert: Insert) -> Insert:
    new = insert.excluded
    is_newer = new.revision > jobs.c.revision
    has_newer_run = new.run_revision > jobs.c.run_revision
    chosen: dict[str, sa.ColumnElement[Any]] = {name: sa.func.coalesce(jobs.c[name], new[name]) for name in _SPEC}
    chosen |= {name: sa.case((is_newer, new[name]), else_=jobs.c[name]) for name in _STATE}
    chosen |= {name: sa.case((has_newer_run, new[name]), else_=jobs.c[name]) for name in _LAST_RUN}
    chosen["started_at"] = _earliest(new.started_at, jobs.c.started_at)
    chosen["submitted_at"] = sa.case(
        (new.spec.is_not(None), new.submitted_at),
        (jobs.c.spec.is_not(None), jobs.c.submitted_at),
        else_=_earliest(new.submitted_at, jobs.c.submitted_at),
    )
    return insert.on_conflict_do_update(index_elements=[jobs.c.job_id], set_=chosen)


def _claimed_upsert(insert: Insert) -> Insert:
    # The record may have come first, of a run that never started.
    began = sa.func.coalesce(runs.c.started_at, runs.c.claimed_at, insert.excluded.claimed_at)
    return _fill_gaps(insert, *_CLAIM, began_at=began)


def _lost_upsert(insert: Insert) -> Insert:
    # A run that has an outcome of its own keeps all it has.
    # Written out, since a bulk insert has no room for parameters of its own.
    is_open = runs.c.outcome.is_(None) | (runs.c.error_type == sa.literal_column(f"'{_FORGOTTEN}'"))
    chosen: dict[str, sa.ColumnElement[Any]] = {name: insert.excluded[name] for name in _LOSS}
    chosen["began_at"] = sa.func.coalesce(runs.c.started_at, runs.c.claimed_at, insert.excluded.finished_at)
    chosen |= {name: sa.func.coalesce(runs.c[name], insert.excluded[name]) for name in OF_JOB}
    return insert.on_conflict_do_update(index_elements=[runs.c.run_id], set_=chosen, where=is_open)


def _fill_gaps(insert: Insert, *names: str, **other: sa.ColumnElement[Any]) -> Insert:
    chosen = {name: sa.func.coalesce(runs.c[name], insert.excluded[name]) for name in (*names, *OF_JOB)} | other
    return insert.on_conflict_do_update(index_elements=[runs.c.run_id], set_=chosen)


def _finished_upsert(insert: Insert) -> Insert:
    new = insert.excluded
    chosen: dict[str, sa.ColumnElement[Any]] = {
        column.name: new[column.name] for column in runs.c if column.name not in _NOT_IN_RECORD
    }
    chosen |= {name: sa.func.coalesce(runs.c[name], new[name]) for name in OF_JOB}
    chosen["queue"] = sa.func.coalesce(new.queue, runs.c.queue)
    chosen["claimed_at"] = sa.func.coalesce(runs.c.claimed_at, new.claimed_at)
    chosen["began_at"] = sa.func.coalesce(new.started_at, chosen["claimed_at"], new.finished_at)
    # The record that came in time is the one that counts, should the same run have reported twice.
    is_better = runs.c.is_stale.is_(None) | (runs.c.is_stale & ~new.is_stale)
    return insert.on_conflict_do_update(index_elements=[runs.c.run_id], set_=chosen, where=is_better)


def _earliest(one: sa.ColumnElement[float], other: sa.ColumnElement[float]) -> sa.ColumnElement[float]:
    return sa.case((other.is_(None) | (one < other), one), else_=other)
