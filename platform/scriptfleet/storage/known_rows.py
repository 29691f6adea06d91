"""What the database has of the jobs and runs of a batch, before the batch is written.

Most have nothing there: their rows are written without looking at each for what may be there, which takes a third of
the time. Rows may come between the look and the write when another service writes too; BulkInsert notices that.
"""

from collections.abc import Collection, Mapping
from operator import attrgetter
from typing import Final

import sqlalchemy as sa

from scriptfleet.domain.state import FINAL
from scriptfleet.storage.engine import Database
from scriptfleet.storage.event_rows import Ended, JobPatch
from scriptfleet.storage.run_row import JobNames
from scriptfleet.storage.tables import jobs, runs

#: Columns of a job that its runs repeat.
OF_JOB: Final = JobNames._fields
_names_said: Final = attrgetter(*OF_JOB)
_FINAL: Final = frozenset(str(state) for state in FINAL)


class KnownRows:
    """The looks of one transaction: for jobs before their rows are written, for runs after, when they are locked."""

    def __init__(self, database: Database, connection: sa.Connection) -> None:
        self._database, self._connection = database, connection
        self._names: dict[str, JobNames] = {}
        self.jobs: set[str] = set()
        #: Jobs whose end is recorded.
        self.ended: dict[str, Ended] = {}
        self.runs: set[str] = set()
        #: Runs whose record is there.
        self.recorded: set[str] = set()

    def look_for_jobs(self, job_ids: Collection[str]) -> None:
        """See which jobs are there, what they are called and which of them are over."""
        wanted = sa.select(*(jobs.c[name] for name in ("job_id", "state", "revision", "last_run_id", *OF_JOB)))
        found = self._connection.execute(wanted.where(self._database.one_of(jobs.c.job_id, job_ids)))
        for row in found:
            self.jobs.add(row.job_id)
            self._names[row.job_id] = JobNames(*_names_said(row))
            if row.state in _FINAL:
                self.ended[row.job_id] = Ended(row.revision, row.last_run_id)

    def look_for_runs(self, run_ids: Collection[str]) -> None:
        """See which runs are there, and of which the record is."""
        wanted = sa.select(runs.c.run_id, runs.c.is_stale.is_not(None))
        found = self._connection.execute(wanted.where(self._database.one_of(runs.c.run_id, run_ids)))
        for run_id, is_recorded in found:
            self.runs.add(run_id)
            if is_recorded:
                self.recorded.add(run_id)

    def names_of(self, patches: Mapping[str, JobPatch]) -> dict[str, JobNames]:
        """Give what the jobs are called, once their rows are written; None where no submit was seen."""
        names = {job_id: self._names_of(job_id, patch) for job_id, patch in patches.items()}
        nameless = [job_id for job_id, found in names.items() if found.kind is None]
        if nameless:
            # Another service may have stored the submit since the look.
            wanted = sa.select(jobs.c.job_id, *(jobs.c[name] for name in OF_JOB))
            for row in self._connection.execute(wanted.where(self._database.one_of(jobs.c.job_id, nameless))):
                names[row.job_id] = JobNames(*_names_said(row))
        return names

    def _names_of(self, job_id: str, patch: JobPatch) -> JobNames:
        # What was stored first stands.
        known = self._names.get(job_id)
        return known if known and known.kind is not None else JobNames(*_names_said(patch))
