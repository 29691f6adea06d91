"""The store as the verbs see it: jobs that the broker no longer knows, and short ids. Imported only when needed."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any

from scriptfleet.config import Settings
from scriptfleet.errors import InvalidValue, JobNotFound
from scriptfleet.storage import migrate
from scriptfleet.storage.engine import Database
from scriptfleet.storage.job_store import JobFilter, JobRow, JobStore
from scriptfleet.storage.paging import PageRequest
from scriptfleet.storage.run_store import RunRow, RunStore

#: A short id is looked for among so many of the newest jobs.
_NEWEST = 500


def opened(settings: Settings) -> AbstractContextManager[Database]:
    """Open the fleet's store. Raises StoreUnreachable when there is none, or not one of this version."""
    return migrate.opened(settings.store_url())


def newest(database: Database, which: JobFilter, limit: int) -> list[tuple[JobRow, RunRow | None]]:
    """Give the newest jobs, each with its last run."""
    runs = RunStore(database)
    jobs = JobStore(database).page(which, PageRequest(limit)).items
    return [(job, runs.get(job.last_run_id) if job.last_run_id else None) for job in jobs]


def find(settings: Settings, job_id: str) -> tuple[JobRow, RunRow | None]:
    """Give a job and its last run. Raises JobNotFound, StoreUnreachable."""
    with opened(settings) as database:
        job = JobStore(database).get(job_id)
        return job, RunStore(database).get(job.last_run_id) if job.last_run_id else None


def stored_output(settings: Settings, run_id: str) -> Iterator[tuple[str, bytes]]:
    """Give what is stored of a run's output, first stdout, then stderr, piece by piece."""
    with opened(settings) as database:
        runs = RunStore(database)
        for stream in ("stdout", "stderr"):
            for piece in runs.output(run_id, stream):
                yield stream, piece


def stored_tree(settings: Settings, run_id: str) -> dict[str, Any] | None:
    """Give the processes of a run that has ended, as they were when they were most; None where nobody looked."""
    with opened(settings) as database:
        tree = RunStore(database).process_tree(run_id)
    return tree.to_dict() if tree else None


def whole_id(settings: Settings, short: str) -> str:
    """Give the id that begins so, among the newest jobs. Raises InvalidValue, JobNotFound, StoreUnreachable."""
    with opened(settings) as database:
        jobs = JobStore(database).page(JobFilter(), PageRequest(_NEWEST)).items
    found = [job.job_id for job in jobs if job.job_id.startswith(short)]
    if len(found) > 1:
        raise InvalidValue("job", short, f"more digits: {len(found)} of the newest {_NEWEST} jobs begin so")
    if not found:
        raise JobNotFound(short)
    return found[0]
