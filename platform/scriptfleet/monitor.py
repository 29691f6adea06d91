"""The monitor for scripts and notebooks: where jobs stand, what stands still, and setting it going again.

Every answer makes a pandas DataFrame as it is. Each function reads the fleet's addresses from the environment, as the
command line does, and raises RuntimeError with a plain sentence where the broker or the store cannot be reached.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from scriptfleet.config import Settings, load_settings
from scriptfleet.errors import ScriptfleetError
from scriptfleet.queues.client import Broker
from scriptfleet.queues.connection import told_plainly
from scriptfleet.results.monitor import ActiveJob, Found, Monitor, as_moment
from scriptfleet.storage import standing
from scriptfleet.storage.migrate import opened

#: How jobs without a group are called.
UNGROUPED: Final = "ungrouped"
_MOST_LISTED: Final = 10_000


def run_monitor(*, group: str | None = None, dry_run: bool = False, verbose: bool = False) -> dict[str, dict[str, int]]:
    """Find jobs whose worker is gone or that stand still, and set them going again unless ``dry_run``.

    Gives ``total``, ``active``, ``complete``, ``stuck`` (as found) and ``failed``, each by group. ``verbose`` prints a
    line on each job found. ``dry_run`` changes nothing at all. Raises RuntimeError.
    """
    with _plain_errors():
        counts, found, done = watch(load_settings(), group, dry_run)
    for line in lines_on(found, done) if verbose else ():
        sys.stdout.write(f"{line}\n")
    return counts


def get_job_status(*, group: str | None = None, name: str | None = None) -> dict[str, str]:
    """Give the state of the newest job of each group and name: ``{"group/name": "running"}``. Raises RuntimeError."""
    with _plain_errors(), opened(load_settings().store_url()) as database:
        found = standing.newest_states(database, group, name)
    return {f"{of or UNGROUPED}/{named}": str(state) for (of, named), state in sorted(found.items(), key=repr)}


def list_active_jobs(*, group: str | None = None) -> list[dict[str, object]]:
    """Give the jobs that have not ended, running ones first, at most 10,000. Raises RuntimeError.

    Each has job_id, name, group, status, worker, started and last_sign_of_life (datetimes in UTC), cpu (percent of one
    core) and memory (MiB); None where there is nothing to tell.
    """
    with _plain_errors():
        settings = load_settings()
        url = settings.broker_url()
        with opened(settings.store_url()) as database, told_plainly(url):
            return [_plain(one) for one in Monitor(Broker(settings), database).active(group, _MOST_LISTED)]


def watch(
    settings: Settings, group: str | None, dry_run: bool
) -> tuple[dict[str, dict[str, int]], Found, dict[str, str]]:
    """Look, and mend unless ``dry_run``; give the counts, what was found, and what was done with each job.

    Raises ScriptfleetError.
    """
    url = settings.broker_url()
    with opened(settings.store_url()) as database, told_plainly(url):
        monitor = Monitor(Broker(settings), database)
        found = monitor.look(group)
        counts = monitor.counts(found, group)
        done = {} if dry_run else monitor.mend(found)
    named = {what: {of or UNGROUPED: count for of, count in by.items()} for what, by in counts.items()}
    return named, found, done


def lines_on(found: Found, done: dict[str, str]) -> Iterator[str]:
    """Give a line on each job that was found, and one where not all could be looked for."""
    for job in found.jobs:
        what = done.get(job.job_id, "")
        yield f"{job.job_id}  {job.group or UNGROUPED}/{job.name}  {job.why}{f': {what}' if what else ''}"
    if found.not_compared:
        yield f"broker and store were not compared: {found.not_compared}"


def _plain(one: ActiveJob) -> dict[str, object]:
    job, reading = one.job, one.reading
    return {
        "job_id": job.job_id,
        "name": job.name,
        "group": job.group_name,
        "status": str(job.state),
        "worker": reading.worker or None if reading else None,
        "started": as_moment(job.started_at),
        "last_sign_of_life": reading.last_sign_of_life if reading else None,
        "cpu": reading.cpu_percent if reading else None,
        "memory": reading.memory_mb if reading else None,
    }


@contextmanager
def _plain_errors() -> Iterator[None]:
    try:
        yield
    except ScriptfleetError as fault:
        raise RuntimeError(str(fault)) from fault
