"""Jobs as they are kept: found by what they are and when they were submitted."""

from dataclasses import dataclass, fields
from typing import Any

import sqlalchemy as sa

from scriptfleet.domain import check
from scriptfleet.domain.state import State
from scriptfleet.errors import JobNotFound
from scriptfleet.storage.engine import Database
from scriptfleet.storage.paging import Page, PageRequest, read_page
from scriptfleet.storage.tables import jobs, labels, runs


@dataclass(frozen=True, slots=True)
class JobRow:
    """A job as the store knows it. Moments are seconds since the epoch."""

    job_id: str
    #: Like all of the spec: None until the submit has been seen.
    kind: str | None
    name: str | None
    queue: str | None
    priority: int | None
    group_name: str | None
    labels: dict[str, str] | None
    schedule: str | None
    submitted_by: str | None
    spec: str | None
    submitted_at: float
    state: State
    revision: int
    #: When it came to its final state.
    finished_at: float | None
    #: Why it ended without a run, where it did.
    reason: str | None
    #: Of its last run, from 1; 0 before the first.
    attempt: int
    last_run_id: str | None
    #: When its first run was claimed.
    started_at: float | None


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Which jobs; None means any. ``since`` is included, ``until`` is not."""

    state: State | None = None
    name: str | None = None
    kind: str | None = None
    queue: str | None = None
    group_name: str | None = None
    schedule: str | None = None
    #: Name and value.
    label: tuple[str, str] | None = None
    #: One that had a run of it.
    worker: str | None = None
    since: float | None = None
    until: float | None = None

    def __post_init__(self) -> None:
        for name in ("name", "kind", "queue", "group_name", "schedule", "worker"):
            check.optional_text(name, getattr(self, name), 255)
        check.optional_number("since", self.since)
        check.optional_number("until", self.until)


@dataclass(frozen=True, slots=True)
class KeptSpec:
    """What is kept of how a job was submitted; None where the store has not seen it."""

    spec: str | None
    signature: str | None
    #: Whether ``spec`` is the very text that was submitted, with no secret taken out of it.
    is_whole: bool | None


_EQUAL = ("state", "name", "kind", "queue", "group_name", "schedule")
_COLUMNS = [jobs.c[item.name] for item in fields(JobRow)]


class JobStore:
    """Reads jobs; they are written by the ingest store. Each method raises StoreUnreachable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, job_id: str) -> JobRow:
        """Give one job; raises JobNotFound."""
        wanted = sa.select(*_COLUMNS).where(jobs.c.job_id == check.text("job_id", job_id))
        with self._database.reading() as connection:
            row = connection.execute(wanted).one_or_none()
        if row is None:
            raise JobNotFound(job_id)
        return _job(row)

    def kept_spec(self, job_id: str) -> KeptSpec:
        """Give how a job was submitted; raises JobNotFound."""
        columns = (jobs.c.spec, jobs.c.signature, jobs.c.is_spec_whole)
        with self._database.reading() as connection:
            row = connection.execute(sa.select(*columns).where(jobs.c.job_id == job_id)).one_or_none()
        if row is None:
            raise JobNotFound(job_id)
        return KeptSpec(*row)

    def page(self, which: JobFilter, request: PageRequest) -> Page[JobRow]:
        """Give a page of jobs, the last submitted first."""
        wanted = sa.select(*_COLUMNS).where(*_conditions(which))
        with self._database.reading() as connection:
            return read_page(connection, wanted, (jobs.c.submitted_at, jobs.c.job_id), request, _job)


def _conditions(which: JobFilter) -> list[sa.ColumnElement[bool]]:
    found = [jobs.c[name] == getattr(which, name) for name in _EQUAL if getattr(which, name) is not None]
    if which.label is not None:
        name, value = which.label
        labelled = sa.select(labels.c.job_id).where(labels.c.name == name, labels.c.value == value)
        found.append(jobs.c.job_id.in_(labelled))
    if which.worker is not None:
        found.append(sa.exists().where(runs.c.job_id == jobs.c.job_id, runs.c.worker == which.worker))
    if which.since is not None:
        found.append(jobs.c.submitted_at >= which.since)
    if which.until is not None:
        found.append(jobs.c.submitted_at < which.until)
    return found


def _job(row: sa.Row[Any]) -> JobRow:
    values = dict(row._mapping)
    return JobRow(**{**values, "state": State(values["state"])})
