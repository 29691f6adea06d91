"""``scriptfleet submit``: sends a job to the fleet and prints its id."""

from scriptfleet.cli import trail
from scriptfleet.cli.definition_options import add_definition, draft_by_name, is_by_name
from scriptfleet.cli.fleet_options import add_fleet_options, add_json, settings_of
from scriptfleet.cli.job_options import add_job, add_moments, add_placement, draft_of
from scriptfleet.cli.submitted import add_wait, told
from scriptfleet.cli.submitter import submitter
from scriptfleet.cli.surroundings_options import add_warm
from scriptfleet.cli.verb_parser import Namespace, VerbParser
from scriptfleet.queues.client import Client


def build(parser: VerbParser) -> None:
    """Add the arguments."""
    add_job(parser)
    add_definition(parser)
    add_warm(parser)
    add_placement(parser)
    add_moments(parser)
    add_wait(parser)
    add_json(parser)
    add_fleet_options(parser)
    parser.show_examples(
        "scriptfleet submit train.py --epochs 3",
        "scriptfleet submit --wait --timeout 10m --retry 2 --queue nightly report.py",
        "scriptfleet submit --working-dir /backups --shell 'pg_dump shop > shop.sql'",
        "scriptfleet submit --warm --preload numpy,pandas --secret TOKEN model.py",
        "scriptfleet submit --http https://shop.example/warm --method POST --bearer KEY",
        "scriptfleet submit --definition report -P day=2026-03-01 --wait",
    )


def execute(chosen: Namespace) -> int:
    """Submit; with --wait, give the job's exit code."""
    settings = settings_of(chosen)
    if is_by_name(chosen):
        draft = draft_by_name(chosen, settings, submitter())
    else:
        draft = draft_of(chosen, settings.blob_max_bytes, submitted_by=submitter())
    client = Client(settings=settings)
    job = client.submit_draft(draft)
    trail.tell(client.broker, "job.submit", job.id, name=draft.spec.name, queue=draft.spec.queue)
    return told(job, draft.spec.name, chosen)
