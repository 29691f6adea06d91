"""``scriptfleet ps``: lists jobs, the newest first."""

import time
from typing import Any

from scriptfleet.cli import live_jobs, stored_jobs
from scriptfleet.cli.amounts import whole
from scriptfleet.cli.fleet_options import add_fleet_options, add_json, settings_of
from scriptfleet.cli.known_job import BROKER_AWAY
from scriptfleet.cli.screen import UNKNOWN, age, mebibytes, note, print_json, seconds
from scriptfleet.cli.tables import print_table
from scriptfleet.cli.verb_parser import Namespace, VerbParser
from scriptfleet.config import Settings
from scriptfleet.domain import check
from scriptfleet.domain.state import State
from scriptfleet.errors import StoreUnreachable
from scriptfleet.queues.client import Broker
from scriptfleet.queues.connection import told_plainly
from scriptfleet.storage.job_store import JobFilter, JobRow
from scriptfleet.storage.run_store import RunRow

_COLUMNS = ("job", "state", "age>", "name*", "queue**", "try>", "worker**", "wall s>", "CPU s>", "MiB>")


def build(parser: VerbParser) -> None:
    """Add the arguments."""
    parser.add_argument(
        "--state",
        choices=[str(state) for state in State],
        metavar="STATE",
        help=f"only jobs that are {', '.join(State)}",
    )
    parser.add_argument("--queue", help="only jobs of this queue")
    parser.add_argument("--name", help="only jobs of this name")
    parser.add_argument("--limit", type=whole, default=20, metavar="N", help="at most so many (else 20)")
    add_json(parser)
    add_fleet_options(parser)
    parser.show_examples(
        "scriptfleet ps", "scriptfleet ps --state failed --limit 50", "scriptfleet ps --json --queue nightly"
    )


def execute(chosen: Namespace) -> int:
    """Print the list; from the broker alone, so without ended jobs, where there is no store."""
    settings = settings_of(chosen)
    queue = None if chosen.queue is None else check.queue_name(chosen.queue)
    limit = check.integer("limit", chosen.limit, 1, 500)
    which = JobFilter(state=State(chosen.state) if chosen.state else None, queue=queue, name=chosen.name)
    found = _found(settings, which, limit)
    if chosen.as_json:
        print_json(found)
    elif found:
        mark = _doubt(settings, found)
        print_table(_COLUMNS, [_cells(job, mark) for job in found])
    else:
        note("no jobs")
    return 0


def _found(settings: Settings, which: JobFilter, limit: int) -> list[dict[str, Any]]:
    try:
        with stored_jobs.opened(settings) as database:
            return [_plain(job, run) for job, run in stored_jobs.newest(database, which, limit)]
    except StoreUnreachable as away:
        if not settings.redis_url:
            raise
        note(f"scriptfleet: {away}\nscriptfleet: showing what the broker knows: jobs that have not ended")
        return live_jobs.newest(settings, which, limit)


def _doubt(settings: Settings, found: list[dict[str, Any]]) -> str:
    """Give what is put behind ``running``: a question mark where no broker could say that it still does."""
    if not any(job["state"] == State.RUNNING for job in found):
        return ""
    try:
        broker = Broker(settings)
        with told_plainly(broker.url):
            broker.redis.ping()
    except BROKER_AWAY:
        note("scriptfleet: no broker answers: jobs shown as running? ran when the fleet was last up")
        return "?"
    return ""


def _plain(job: JobRow, run: RunRow | None) -> dict[str, Any]:
    usage = run.usage if run else None
    return {
        "job_id": job.job_id,
        "state": str(job.state),
        "name": job.name,
        "queue": job.queue,
        "attempt": job.attempt,
        "worker": run.worker if run else None,
        "submitted_at": job.submitted_at,
        "wall_seconds": usage.execution_time_seconds if usage else None,
        "started_at": job.started_at,
        "cpu_seconds": usage.cpu_seconds if usage else None,
        "memory_max_mb": usage.memory_max_mb if usage else None,
    }


def _wall(job: dict[str, Any], mark: str) -> str:
    if job["state"] == State.RUNNING and job["wall_seconds"] is None and job["started_at"] and not mark:
        return seconds(max(0.0, time.time() - job["started_at"]))
    return seconds(job["wall_seconds"])


def _cells(job: dict[str, Any], mark: str) -> tuple[str, ...]:
    return (
        job["job_id"][:8],
        job["state"] + (mark if job["state"] == State.RUNNING else ""),
        UNKNOWN if job["submitted_at"] is None else age(time.time() - job["submitted_at"]),
        job["name"] or UNKNOWN,
        job["queue"] or UNKNOWN,
        str(job["attempt"]),
        job["worker"] or UNKNOWN,
        _wall(job, mark),
        seconds(job["cpu_seconds"]),
        mebibytes(job["memory_max_mb"]),
    )
