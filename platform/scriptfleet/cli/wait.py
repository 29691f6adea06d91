"""``scriptfleet wait``: waits for a job's end and answers with its exit code."""

from scriptfleet.cli.amounts import duration
from scriptfleet.cli.fleet_options import add_fleet_options, add_json, settings_of
from scriptfleet.cli.known_job import BROKER_AWAY, from_store, whole_id
from scriptfleet.cli.main import INTERRUPTED_EXIT_CODE
from scriptfleet.cli.screen import cost_lines, note, print_json
from scriptfleet.cli.verb_parser import Namespace, VerbParser
from scriptfleet.config import Settings
from scriptfleet.domain.usage import Usage
from scriptfleet.errors import JobNotFound
from scriptfleet.queues.client import Client
from scriptfleet.queues.job_handle import JobResult


def build(parser: VerbParser) -> None:
    """Add the arguments."""
    parser.add_argument("job", metavar="JOB", help="a job's id or its beginning")
    parser.add_argument("--timeout", type=duration, metavar="TIME", help="wait no longer; the job itself goes on")
    add_json(parser)
    add_fleet_options(parser)
    parser.show_examples(
        "scriptfleet wait 4f0c2a9e",
        "scriptfleet wait --timeout 10m 4f0c2a9e && echo done",
        "scriptfleet wait --json $(scriptfleet submit train.py)",
    )


def execute(chosen: Namespace) -> int:
    """Wait; give the job's exit code."""
    settings = settings_of(chosen)
    job_id = whole_id(settings, chosen.job)
    try:
        result = _result(settings, job_id, chosen.timeout)
    except KeyboardInterrupt:
        note(f"job {job_id} goes on: `scriptfleet cancel {job_id}` ends it")
        return INTERRUPTED_EXIT_CODE
    if chosen.as_json:
        print_json(result.to_dict())
    else:
        print(cost_lines(result.job_id, result.outcome, result.usage))
    return result.exit_code


def _result(settings: Settings, job_id: str, timeout: float | None) -> JobResult:
    try:
        return Client(settings=settings).job(job_id).result(timeout)
    except (JobNotFound, *BROKER_AWAY) as missing:
        job, run = from_store(settings, job_id, missing)
        if not job.state.is_final:
            raise
    return JobResult(
        job_id=job_id,
        outcome=job.state,
        attempts=job.attempt,
        run_id=job.last_run_id,
        worker=run.worker if run else None,
        usage=run.usage if run else Usage(),
        output_data=run.output_data if run else None,
        reason=job.reason,
        artifacts=(run.artifacts if run else None) or [],
    )
