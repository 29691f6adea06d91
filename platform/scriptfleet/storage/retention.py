"""Keeps the history to a size: tells what is there, and forgets what is old."""

from dataclasses import dataclass

import sqlalchemy as sa

from scriptfleet.storage.engine import Database
from scriptfleet.storage.old_rows import FORGET
from scriptfleet.storage.tables import jobs, outputs, runs


@dataclass(frozen=True, slots=True)
class Totals:
    """How much there is. Moments are seconds since the epoch, None where there is no run."""

    jobs: int
    runs: int
    #: Of stored output, as it is stored.
    output_bytes: int
    first_began_at: float | None
    last_began_at: float | None


def totals(database: Database) -> Totals:
    """Count what the database holds. Raises StoreUnreachable."""
    with database.reading() as connection:
        stored = connection.scalar(sa.select(sa.func.coalesce(sa.func.sum(sa.func.length(outputs.c.body)), 0)))
        count, first, last = connection.execute(
            sa.select(sa.func.count(), sa.func.min(runs.c.began_at), sa.func.max(runs.c.began_at))
        ).one()
        count_of_jobs = connection.scalar(sa.select(sa.func.count()).select_from(jobs))
    return Totals(int(count_of_jobs or 0), int(count), int(stored or 0), first, last)


def forget(database: Database, before: float) -> int:
    """Delete jobs that ended before this moment, with all their runs; give how many jobs went.

    Jobs that have not ended stay. Raises StoreUnreachable.
    """
    with database.writing() as connection:
        for statement in FORGET:
            deleted = connection.execute(sa.text(statement), {"before": before}).rowcount
    return int(deleted)
