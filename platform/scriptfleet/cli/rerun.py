"""``scriptfleet rerun``: a new job from an old one, with the same input or another."""

import json
from typing import Any

from scriptfleet.cli import trail
from scriptfleet.cli.fleet_options import add_fleet_options, add_json, settings_of
from scriptfleet.cli.job_options import add_bounds, add_moments, add_placement, options_of
from scriptfleet.cli.known_job import whole_id
from scriptfleet.cli.known_spec import known_spec, tell_if_living
from scriptfleet.cli.retry_options import add_retry
from scriptfleet.cli.submitted import add_wait, told
from scriptfleet.cli.submitter import submitter
from scriptfleet.cli.surroundings_options import add_isolation, add_surroundings, add_warm
from scriptfleet.cli.verb_parser import Namespace, VerbParser
from scriptfleet.domain.job import JobSpec
from scriptfleet.domain.kinds import PYTHON_FUNCTION
from scriptfleet.errors import InvalidValue
from scriptfleet.queues.client import Client
from scriptfleet.queues.drafts import Draft
from scriptfleet.queues.rerun import again


def build(parser: VerbParser) -> None:
    """Add the arguments."""
    parser.add_argument("job", metavar="JOB", help="the old job's id or its beginning")
    parser.add_argument("--no-args", action="store_true", help="without the arguments that it had")
    parser.add_argument("--name", help="what the new job is shown as")
    parser.take_rest("other arguments than it had")
    add_bounds(parser)
    add_surroundings(parser)
    add_warm(parser)
    add_isolation(parser)
    add_retry(parser)
    add_placement(parser)
    add_moments(parser)
    add_wait(parser)
    add_json(parser)
    add_fleet_options(parser)
    parser.show_examples(
        "scriptfleet rerun 4f0c2a9e",
        "scriptfleet rerun 4f0c2a9e --memory 4G --queue big --env MODE=full",
        "scriptfleet rerun 4f0c2a9e --wait -- --epochs 10",
    )


def execute(chosen: Namespace) -> int:
    """Submit the new job; with --wait, give its exit code."""
    settings = settings_of(chosen)
    client, job_id = Client(settings=settings), whole_id(settings, chosen.job)
    spec = known_spec(client, settings, job_id)
    tell_if_living(client, job_id)
    # An option of the policy is laid over what the old job has of it.
    chosen.retry_defaults = spec.retry.to_dict()
    changed = again(spec, job_id, {**options_of(chosen), **_args(chosen, spec), "submitted_by": submitter()})
    job = client.submit_draft(Draft(changed))
    trail.tell(client.broker, "job.rerun", job_id, new_job=job.id)
    return told(job, changed.name, chosen)


def _args(chosen: Namespace, spec: JobSpec) -> dict[str, Any]:
    if chosen.no_args and chosen.rest:
        raise InvalidValue("--no-args", " ".join(chosen.rest), "nothing behind --")
    if chosen.no_args:
        return {"args": [], "kwargs": {}} if spec.kind == PYTHON_FUNCTION else {"args": []}
    if not chosen.rest:
        return {}
    return {"args": [_data(word) for word in chosen.rest] if spec.kind == PYTHON_FUNCTION else chosen.rest}


def _data(word: str) -> object:
    try:
        return json.loads(word)
    except ValueError as fault:
        raise InvalidValue("argument", word, """JSON for a function, such as 3 or '"text"' or '[1, 2]'""") from fault
