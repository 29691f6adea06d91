"""Jobs that have not ended, as the store knows them: what is restored, and what the monitor looks at."""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any, Final

import sqlalchemy as sa

from scriptfleet.domain.outcome import DRAINED
from scriptfleet.domain.state import State
from scriptfleet.storage.engine import Database
from scriptfleet.storage.tables import jobs, runs

#: Running ones first: of them there are few.
STATES: Final = (State.RUNNING, State.QUEUED, State.DELAYED)
_ROWS_AT_ONCE: Final = 500


@dataclass(frozen=True, slots=True)
class UnfinishedJob:
    """A job that waits or runs. Moments are the broker's clock, seconds since the epoch."""

    job_id: str
    state: State
    submitted_at: float
    #: Like all of the spec: None until the submit has been seen.
    name: str | None
    group_name: str | None
    queue: str | None
    spec: str | None
    signature: str | None
    is_spec_whole: bool | None
    due_at: float | None
    #: Of its last run; 0 and None before the first.
    attempt: int
    last_run_id: str | None
    #: When its first run was claimed.
    started_at: float | None
    #: Of its last run: who has it, when it was claimed, and its outcome where it has ended.
    worker: str | None
    claimed_at: float | None
    outcome: State | None
    #: Runs that were lost with their worker, and attempts that ran out of memory.
    losses: int
    out_of_memory: int


_NAMES: Final = [item.name for item in fields(UnfinishedJob)]
_other: Final = runs.alias("other")
_LOST: Final = (_other.c.outcome == str(State.LOST)) & (_other.c.error_type != DRAINED)
_OUT_OF_MEMORY: Final = (_other.c.outcome == str(State.OUT_OF_MEMORY)) & _other.c.is_stale.is_(False)
_COUNTED: Final = {"losses": _LOST, "out_of_memory": _OUT_OF_MEMORY}
_OF_RUN: Final = ("worker", "claimed_at", "outcome")


def _runs_that(which: sa.ColumnElement[bool]) -> sa.ScalarSelect[int]:
    of_job = (_other.c.job_id == jobs.c.job_id) & which
    return sa.select(sa.func.count()).select_from(_other).where(of_job).correlate(jobs).scalar_subquery()


_COLUMNS: Final = [
    *((runs if name in _OF_RUN else jobs).c[name] for name in _NAMES if name not in _COUNTED),
    *(_runs_that(which).label(name) for name, which in _COUNTED.items()),
]


def unfinished(database: Database, group: str | None = None) -> Iterator[UnfinishedJob]:
    """Give the jobs that have not ended, running ones first, the oldest first of each state.

    Raises StoreUnreachable. Memory holds some hundred at a time; a job that moves meanwhile may come twice.
    """
    for state in STATES:
        last: UnfinishedJob | None = None
        while page := _page(database, state, group, last):
            yield from page
            last = page[-1]


def _page(database: Database, state: State, group: str | None, last: UnfinishedJob | None) -> list[UnfinishedJob]:
    place = (jobs.c.submitted_at, jobs.c.job_id)
    wanted = sa.select(*_COLUMNS).outerjoin_from(jobs, runs, runs.c.run_id == jobs.c.last_run_id)
    wanted = wanted.where(jobs.c.state == str(state))
    if group is not None:
        wanted = wanted.where(jobs.c.group_name == group)
    if last is not None:
        wanted = wanted.where(sa.tuple_(*place) > sa.tuple_(sa.literal(last.submitted_at), sa.literal(last.job_id)))
    with database.reading() as connection:
        return [_job(row) for row in connection.execute(wanted.order_by(*place).limit(_ROWS_AT_ONCE))]


def _job(row: sa.Row[Any]) -> UnfinishedJob:
    values = dict(row._mapping)
    outcome = values["outcome"]
    return UnfinishedJob(**{**values, "state": State(values["state"]), "outcome": State(outcome) if outcome else None})
