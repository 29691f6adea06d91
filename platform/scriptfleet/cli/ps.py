"""``scriptfleet ps``: lists jobs, the newest first."""

from typing import Any

from scriptfleet.cli import history, live_jobs
from scriptfleet.cli.fleet_options import add_fleet_options, add_json, settings_of
from scriptfleet.cli.screen import UNKNOWN, mebibytes, note, print_json, seconds
from scriptfleet.cli.tables import print_table
from scriptfleet.cli.verb_parser import Namespace, VerbParser
from scriptfleet.config import Settings
from scriptfleet.domain import check
from scriptfleet.domain.state import State
from scriptfleet.errors import StoreUnreachable
from scriptfleet.storage.job_store import JobFilter, JobRow
from scriptfleet.storage.run_store import RunRow

_COLUMNS = ("job", "state", "name*", "queue", "try>", "worker*", "wall s>", "CPU s>", "MiB>")


def build(parser: VerbParser) -> None:
    """Add the arguments."""
    parser.add_argument("--state", choices=[str(state) for state in State], metavar="STATE", help="only jobs in it")
    parser.add_argument("--queue", help="only jobs of this queue")
    parser.add_argument("--name", help="only jobs of this name")
    parser.add_argument("--limit", type=int, default=20, metavar="N", help="at most so many (else 20)")
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
        print_table(_COLUMNS, [_cells(job) for job in found])
    else:
        note("no jobs")
    return 0


def _found(settings: Settings, which: JobFilter, limit: int) -> list[dict[str, Any]]:
    try:
        with history.opened(settings) as database:
            return [_plain(job, run) for job, run in history.newest(database, which, limit)]
    except StoreUnreachable as away:
        if not settings.redis_url:
            raise
        note(f"scriptfleet: {away}\nscriptfleet: showing what the broker knows: jobs that have not ended")
        return live_jobs.newest(settings, which, limit)


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
        "cpu_seconds": usage.cpu_seconds if usage else None,
        "memory_max_mb": usage.memory_max_mb if usage else None,
    }


def _cells(job: dict[str, Any]) -> tuple[str, ...]:
    return (
        job["job_id"][:8],
        job["state"],
        job["name"] or UNKNOWN,
        job["queue"] or UNKNOWN,
        str(job["attempt"]),
        job["worker"] or UNKNOWN,
        seconds(job["wall_seconds"]),
        seconds(job["cpu_seconds"]),
        mebibytes(job["memory_max_mb"]),
    )
