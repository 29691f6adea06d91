"""``scriptfleet submit``: sends a job to the fleet and prints its id."""

from scriptfleet.cli import output
from scriptfleet.cli.fleet_options import add_fleet_options, add_json, settings_of
from scriptfleet.cli.job_options import add_job, add_moments, add_placement, draft_of
from scriptfleet.cli.main import INTERRUPTED_EXIT_CODE
from scriptfleet.cli.screen import cost_lines, note, print_json
from scriptfleet.cli.submitter import submitter
from scriptfleet.cli.surroundings_options import add_warm
from scriptfleet.cli.verb_parser import Namespace, VerbParser
from scriptfleet.queues.client import Client
from scriptfleet.queues.job_handle import Job


def build(parser: VerbParser) -> None:
    """Add the arguments."""
    add_job(parser)
    add_warm(parser)
    add_placement(parser)
    add_moments(parser)
    parser.add_argument(
        "--wait", action="store_true", help="show the output as it comes; answer with the job's exit code"
    )
    add_json(parser)
    add_fleet_options(parser)
    parser.show_examples(
        "scriptfleet submit train.py --epochs 3",
        "scriptfleet submit --wait --timeout 10m --retry 2 --queue nightly examples/sales_report",
        "scriptfleet submit --shell 'pg_dump shop | gzip > shop.sql.gz' --working-dir /backups",
        "scriptfleet submit --warm --preload numpy,pandas --secret DB_TOKEN --no-network model.py",
        "scriptfleet submit --http https://shop.example/warm-up --method POST --bearer SHOP_TOKEN",
    )


def execute(chosen: Namespace) -> int:
    """Submit; with --wait, give the job's exit code."""
    settings = settings_of(chosen)
    draft = draft_of(chosen, settings.blob_max_bytes, submitted_by=submitter())
    job = Client(settings=settings).submit_draft(draft)
    if not chosen.wait:
        if chosen.as_json:
            print_json({"job_id": job.id})
        else:
            print(job.id)
        return 0
    try:
        return _watch(job, draft.spec.name, chosen.as_json)
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
