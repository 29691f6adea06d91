"""What is told of a job that was just submitted: its id, or its output and end."""

from scriptfleet.cli import output
from scriptfleet.cli.main import INTERRUPTED_EXIT_CODE
from scriptfleet.cli.screen import cost_lines, note, print_json
from scriptfleet.cli.verb_parser import Namespace, VerbParser
from scriptfleet.queues.job_handle import Job


def add_wait(parser: VerbParser) -> None:
    """Add --wait."""
    parser.add_argument(
        "--wait", action="store_true", help="show the output as it comes; answer with the job's exit code"
    )


def told(job: Job, name: str, chosen: Namespace) -> int:
    """Tell the id; with --wait, show the output and give the job's exit code."""
    if not chosen.wait:
        if chosen.as_json:
            print_json({"job_id": job.id})
        else:
            print(job.id)
        return 0
    try:
        return _watch(job, name, chosen.as_json)
    except KeyboardInterrupt:
        note(f"job {job.id} goes on: `scriptfleet logs -f {job.id}` follows it, `scriptfleet cancel {job.id}` ends it")
        return INTERRUPTED_EXIT_CODE


def _watch(job: Job, name: str, as_json: bool) -> int:
    if as_json:
        result = job.result()
        print_json(result.to_dict())
        return result.exit_code
    note(f"job {job.id}")
    output.show(job.output(follow=True))
    result = job.result()
    note(cost_lines(name, result.outcome, result.usage))
    if result.reason and result.run_id is None:
        note(f"  {result.reason}")
    return result.exit_code
