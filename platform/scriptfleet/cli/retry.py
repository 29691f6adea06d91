"""``scriptfleet retry``: submits jobs again as they were; ``rerun`` is for other input."""

from typing import Any, Final

from scriptfleet.cli import trail
from scriptfleet.cli.confirm import is_sure
from scriptfleet.cli.fleet_options import add_fleet_options, add_json, settings_of
from scriptfleet.cli.known_job import check_id, whole_id
from scriptfleet.cli.known_spec import known_spec, tell_if_living
from scriptfleet.cli.screen import note, print_json
from scriptfleet.cli.submitter import submitter
from scriptfleet.cli.verb_parser import Namespace, VerbParser
from scriptfleet.config import Settings
from scriptfleet.errors import BlobMissing, InvalidValue, JobNotFound
from scriptfleet.queues.client import Client
from scriptfleet.queues.drafts import Draft
from scriptfleet.queues.rerun import again

_NOT_ALL_EXIT_CODE: Final = 1


def build(parser: VerbParser) -> None:
    """Add the arguments."""
    parser.add_argument("jobs", nargs="+", metavar="JOB", help="ids of jobs, or their beginnings")
    parser.add_argument("--yes", action="store_true", help="do not ask, also where they are many")
    add_json(parser)
    add_fleet_options(parser)
    parser.show_examples("scriptfleet retry 4f0c2a9e", "scriptfleet retry 4f0c2a9e 91d3b7aa")


def execute(chosen: Namespace) -> int:
    """Submit each again; 1 when one could not be."""
    settings = settings_of(chosen)
    client = Client(settings=settings)
    named = [check_id(text) for text in chosen.jobs]
    if not is_sure(f"submit {len(named):,} jobs again", len(named), chosen.yes):
        note("nothing was submitted")
        return _NOT_ALL_EXIT_CODE
    told = []
    for text in named:
        told.append(_retry(client, settings, text))
        if not chosen.as_json:
            _tell(told[-1])
    if chosen.as_json:
        print_json(told)
    return _NOT_ALL_EXIT_CODE if any("error" in one for one in told) else 0


def _retry(client: Client, settings: Settings, text: str) -> dict[str, Any]:
    try:
        job_id = whole_id(settings, text)
        spec = again(known_spec(client, settings, job_id), job_id, {"submitted_by": submitter()})
        tell_if_living(client, job_id)
        retried_as = client.submit_draft(Draft(spec)).id
    except (JobNotFound, BlobMissing, InvalidValue) as fault:
        # The others are submitted all the same.
        return {"job_id": text, "error": str(fault)}
    trail.tell(client.broker, "job.rerun", job_id, new_job=retried_as)
    return {"job_id": job_id, "retried_as": retried_as}


def _tell(told: dict[str, Any]) -> None:
    if "error" in told:
        note(f"scriptfleet: {told['error']}")
    else:
        print(f"{told['job_id']}  retried as {told['retried_as']}")
