"""Takes away what is older than a policy keeps: counts it, erases what is about persons, archives and deletes jobs."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa

from scriptfleet.storage.archive import OF_JOB, OF_RUN, ArchiveWriter
from scriptfleet.storage.engine import Database
from scriptfleet.storage.tables import curves, jobs, outputs, runs, tails

#: Jobs a transaction: writers of the fleet wait for it on SQLite.
_AT_ONCE: Final = 200
#: What a script printed goes with what is about persons.
_PRINTED: Final = (outputs, tails)


@dataclass(frozen=True, slots=True)
class Bounds:
    """Jobs that ended before ``delete`` go; of those that ended before ``erase`` goes what is about persons."""

    delete: float
    erase: float | None

    def of(self, table: sa.Table) -> float:
        """Give the moment before which rows of a table go."""
        return max(self.delete, self.erase or 0.0) if table in _PRINTED else self.delete


def count(database: Database, bounds: Bounds) -> dict[str, int]:
    """Give how many rows of each table would go, and of how many jobs something would be erased (``erased_jobs``)."""
    found = {}
    with database.reading() as connection:
        for table in (*OF_JOB, *OF_RUN):
            rows = sa.select(sa.func.count()).select_from(table).where(_of(table, _ended_before(bounds.of(table))))
            found[table.name] = int(connection.scalar(rows) or 0)
        erased = 0
        if bounds.erase is not None:
            personal = (
                sa.select(sa.func.count()).select_from(jobs).where(jobs.c.finished_at < bounds.erase, _IS_PERSONAL)
            )
            erased = int(connection.scalar(personal) or 0)
    return found | {"erased_jobs": erased}


def expire(
    database: Database, bounds: Bounds, archive: ArchiveWriter | None, is_stopping: Callable[[], bool] = lambda: False
) -> dict[str, int]:
    """Do what count() tells, some jobs a transaction, and give the rows that went.

    A job is deleted in the transaction in which it was written to the archive, so that nothing is deleted that the
    archive lacks; what a crash leaves is in the archive and here. Raises StoreUnreachable, OSError.
    """
    gone: Counter[str] = Counter({table.name: 0 for table in (*OF_JOB, *OF_RUN)} | {"erased_jobs": 0})
    if bounds.erase is not None:
        _erase_printed(database, bounds.erase, gone, is_stopping)
        _in_batches(database, _is_old(bounds.erase) & _IS_PERSONAL, lambda at, ids: _erase(at, ids, gone), is_stopping)

    def delete(connection: sa.Connection, job_ids: Sequence[str]) -> None:
        if archive is not None:
            archive.add(connection, job_ids)
        for table in (*reversed(OF_RUN), *reversed(OF_JOB)):
            gone[table.name] += connection.execute(sa.delete(table).where(_of(table, job_ids))).rowcount

    _in_batches(database, _is_old(bounds.delete), delete, is_stopping)
    return dict(gone)


def _in_batches(
    database: Database,
    which: sa.ColumnElement[bool],
    act: Callable[[sa.Connection, Sequence[str]], None],
    is_stopping: Callable[[], bool],
) -> None:
    # Two that do it at once take other jobs each.
    wanted = sa.select(jobs.c.job_id).where(which).order_by(jobs.c.finished_at, jobs.c.job_id).limit(_AT_ONCE)
    wanted = wanted.with_for_update(skip_locked=True)
    while not is_stopping():
        with database.writing() as connection:
            job_ids = list(connection.scalars(wanted))
            if not job_ids:
                return
            act(connection, job_ids)


def _erase(connection: sa.Connection, job_ids: Sequence[str], gone: Counter[str]) -> None:
    nothing = dict.fromkeys(("spec", "signature", "submitted_by"))
    gone["erased_jobs"] += connection.execute(
        sa.update(jobs).where(jobs.c.job_id.in_(job_ids)).values(nothing)
    ).rowcount
    said = {"error_message": None, "output_data": sa.null()}
    connection.execute(sa.update(runs).where(runs.c.job_id.in_(job_ids)).values(said))
    # Commands name files and people.
    connection.execute(sa.update(curves).where(_of(curves, job_ids)).values(process_tree=None))


def _erase_printed(database: Database, before: float, gone: Counter[str], is_stopping: Callable[[], bool]) -> None:
    for table in _PRINTED:
        old = sa.select(table.c.run_id).where(_of(table, _ended_before(before))).limit(_AT_ONCE)
        while not is_stopping():
            with database.writing() as connection:
                run_ids = set(connection.scalars(old))
                if not run_ids:
                    break
                gone[table.name] += connection.execute(sa.delete(table).where(table.c.run_id.in_(run_ids))).rowcount


def _is_old(before: float) -> sa.ColumnElement[bool]:
    # Jobs that have not ended have no such moment, so they stay.
    return jobs.c.finished_at < before


def _ended_before(before: float) -> sa.Select[tuple[str]]:
    return sa.select(jobs.c.job_id).where(_is_old(before))


def _of(table: sa.Table, job_ids: "Sequence[str] | sa.Select[tuple[str]]") -> sa.ColumnElement[bool]:
    if table in OF_JOB:
        return table.c.job_id.in_(job_ids)
    return table.c.run_id.in_(sa.select(runs.c.run_id).where(runs.c.job_id.in_(job_ids)))


_IS_PERSONAL: Final = jobs.c.spec.is_not(None) | jobs.c.submitted_by.is_not(None)
