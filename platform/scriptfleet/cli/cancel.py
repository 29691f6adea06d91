"""``scriptfleet cancel``: ends jobs. One that waits ends at once, one that runs is asked to end, then killed."""

from scriptfleet.cli.fleet_options import add_fleet_options, add_json, settings_of
from scriptfleet.cli.known_job import whole_id
from scriptfleet.cli.main import OWN_ERROR_EXIT_CODE
from scriptfleet.cli.screen import note, print_json
from scriptfleet.cli.verb_parser import Namespace, VerbParser
from scriptfleet.errors import JobNotFound
from scriptfleet.queues.client import Broker

_SAID = {"queued": "cancelled before it ran", "delayed": "cancelled before it ran", "running": "told to end"}


def build(parser: VerbParser) -> None:
    """Add the arguments."""
    parser.add_argument("jobs", nargs="+", metavar="JOB", help="ids of jobs, or their beginnings")
    add_json(parser)
    add_fleet_options(parser)
    parser.show_examples("scriptfleet cancel 4f0c2a9e", "scriptfleet cancel 4f0c2a9e 91d3b7aa")


def execute(chosen: Namespace) -> int:
    """Cancel; 0 when the broker knew every job, also those that had ended by themselves."""
    settings = settings_of(chosen)
    ids = [whole_id(settings, text) for text in chosen.jobs]
    states = Broker(settings).cancel(ids)
    found = dict(zip(ids, states, strict=True))
    if chosen.as_json:
        print_json([{"job_id": job_id, "was": state} for job_id, state in found.items()])
    else:
        for job_id, state in found.items():
            _tell(job_id, state)
    return OWN_ERROR_EXIT_CODE if "gone" in states else 0


def _tell(job_id: str, state: str) -> None:
    if state == "gone":
        note(f"scriptfleet: {JobNotFound(job_id)}")
    else:
        print(f"{job_id}  {_SAID.get(state, f'had already ended: {state}')}")
