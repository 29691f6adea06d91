"""``scriptfleet cancel``: ends jobs. One that waits ends at once, one that runs is asked to end, then killed."""

from scriptfleet.cli.fleet_options import add_fleet_options, add_json, settings_of
from scriptfleet.cli.known_job import check_id, whole_id
from scriptfleet.cli.screen import note, print_json
from scriptfleet.cli.verb_parser import Namespace, VerbParser
from scriptfleet.config import Settings
from scriptfleet.errors import InvalidValue, JobNotFound, StoreUnreachable
from scriptfleet.queues.client import Broker

_SAID = {"queued": "cancelled before it ran", "delayed": "cancelled before it ran", "running": "told to end"}
_NOT_ALL_EXIT_CODE = 1


def build(parser: VerbParser) -> None:
    """Add the arguments."""
    parser.add_argument("jobs", nargs="+", metavar="JOB", help="ids of jobs, or their beginnings")
    add_json(parser)
    add_fleet_options(parser)
    parser.show_examples("scriptfleet cancel 4f0c2a9e", "scriptfleet cancel 4f0c2a9e 91d3b7aa")


def execute(chosen: Namespace) -> int:
    """Cancel; 0 when the broker knew every job, also those that had ended by themselves, 1 when it did not."""
    settings = settings_of(chosen)
    broker = Broker(settings)
    named = [check_id(text) for text in chosen.jobs]
    ids = [job_id for text in named if (job_id := _found_id(settings, text))]
    found = dict(zip(ids, broker.cancel(ids), strict=True)) if ids else {}
    if chosen.as_json:
        print_json([{"job_id": job_id, "was": state} for job_id, state in found.items()])
    else:
        for job_id, state in found.items():
            _tell(job_id, state)
    return _NOT_ALL_EXIT_CODE if "gone" in found.values() or len(ids) < len(named) else 0


def _found_id(settings: Settings, text: str) -> str | None:
    try:
        return whole_id(settings, text)
    except (InvalidValue, JobNotFound, StoreUnreachable) as fault:
        # The others are cancelled all the same.
        note(f"scriptfleet: {fault}")
        return None


def _tell(job_id: str, state: str) -> None:
    if state == "gone":
        note(f"scriptfleet: {JobNotFound(job_id)}")
    else:
        print(f"{job_id}  {_SAID.get(state, f'had already ended: {state}')}")
