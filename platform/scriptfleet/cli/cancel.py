"""``scriptfleet cancel``: ends jobs. One that waits ends at once, one that runs is asked to end, then killed."""

from typing import Final

from scriptfleet.cli import trail
from scriptfleet.cli.amounts import pair
from scriptfleet.cli.confirm import is_sure
from scriptfleet.cli.fleet_options import add_fleet_options, add_json, settings_of
from scriptfleet.cli.known_job import check_id, from_store, whole_id
from scriptfleet.cli.screen import note, print_json
from scriptfleet.cli.verb_parser import Namespace, VerbParser
from scriptfleet.config import Settings
from scriptfleet.domain.state import State
from scriptfleet.errors import InvalidValue, JobNotFound, StoreUnreachable
from scriptfleet.queues.client import Broker
from scriptfleet.queues.living_jobs import LivingJobs

_SAID = {"queued": "cancelled before it ran", "delayed": "cancelled before it ran", "running": "told to end"}
_NOT_ALL_EXIT_CODE: Final = 1
_FORGOTTEN: Final = "forgotten"


def build(parser: VerbParser) -> None:
    """Add the arguments."""
    parser.add_argument("jobs", nargs="*", metavar="JOB", help="ids of jobs, or their beginnings")
    group = parser.add_argument_group("all jobs that have not ended, instead of JOB")
    group.add_argument("--group", help="of this group")
    group.add_argument("--label", type=pair, action="append", metavar="NAME=VALUE", help="with this mark (repeatable)")
    group.add_argument("--queue", help="beside these: only of this queue")
    parser.add_argument("--yes", action="store_true", help="do not ask, also where they are many")
    add_json(parser)
    add_fleet_options(parser)
    parser.show_examples(
        "scriptfleet cancel 4f0c2a9e 91d3b7aa",
        "scriptfleet cancel --group nightly",
        "scriptfleet cancel --label team=sales --label env=test --queue default --yes",
    )


def execute(chosen: Namespace) -> int:
    """Cancel; 0 when every job was known, also those that had ended by themselves, 1 when one was not."""
    settings = settings_of(chosen)
    if chosen.group is not None or chosen.label:
        return _cancel_found(chosen, Broker(settings))
    if chosen.queue is not None:
        what = f"--group or --label beside it; `scriptfleet queues purge {chosen.queue}` cancels all that wait in it"
        raise InvalidValue("--queue", chosen.queue, what)
    if not chosen.jobs:
        raise InvalidValue("jobs", "", "ids of jobs, --group or --label")
    return _cancel_named(chosen, settings)


def _cancel_found(chosen: Namespace, broker: Broker) -> int:
    if chosen.jobs:
        raise InvalidValue("jobs", " ".join(chosen.jobs), "no ids beside --group and --label")
    found = LivingJobs(broker, chosen.group, dict(chosen.label or ()), chosen.queue)
    count = 0 if chosen.yes else found.count()
    if not is_sure(f"cancel {count:,} jobs", count, chosen.yes):
        note("nothing was cancelled")
        return _NOT_ALL_EXIT_CODE
    counts = broker.cancel_all(found.batches())
    asked = {"group": chosen.group, "labels": dict(chosen.label or ()), "queue": chosen.queue}
    trail.tell(broker, "job.cancel", "many", **asked, found=counts)
    living = {str(state): counts.get(state, 0) for state in (State.QUEUED, State.DELAYED, State.RUNNING)}
    if chosen.as_json:
        print_json(living)
    else:
        waiting = living["queued"] + living["delayed"]
        print(f"{waiting:,} cancelled before they ran, {living['running']:,} told to end")
    return 0


def _cancel_named(chosen: Namespace, settings: Settings) -> int:
    broker = Broker(settings)
    named = [check_id(text) for text in chosen.jobs]
    ids = [job_id for text in named if (job_id := _found_id(settings, text))]
    if not is_sure(f"cancel {len(ids):,} jobs", len(ids), chosen.yes):
        note("nothing was cancelled")
        return _NOT_ALL_EXIT_CODE
    found = dict(zip(ids, broker.cancel(ids), strict=True)) if ids else {}
    found = {job_id: _ended(settings, job_id) if state == "gone" else state for job_id, state in found.items()}
    for job_id, state in found.items():
        trail.tell(broker, "job.cancel", job_id, was=state)
    if chosen.as_json:
        print_json([{"job_id": job_id, "was": state} for job_id, state in found.items()])
    else:
        for job_id, state in found.items():
            _tell(job_id, state)
    return _NOT_ALL_EXIT_CODE if {"gone", _FORGOTTEN} & set(found.values()) or len(ids) < len(named) else 0


def _found_id(settings: Settings, text: str) -> str | None:
    try:
        return whole_id(settings, text)
    except (InvalidValue, JobNotFound, StoreUnreachable) as fault:
        # The others are cancelled all the same.
        note(f"scriptfleet: {fault}")
        return None


def _ended(settings: Settings, job_id: str) -> str:
    """Give how a job ended that the broker does not know; forgotten where the store knows no end, gone without it."""
    missing = JobNotFound(job_id)
    try:
        state = from_store(settings, job_id, missing)[0].state
    except JobNotFound:
        return "gone"
    return str(state) if state.is_final else _FORGOTTEN


def _tell(job_id: str, state: str) -> None:
    if state == "gone":
        note(f"scriptfleet: {JobNotFound(job_id)}")
    elif state == _FORGOTTEN:
        note(f"scriptfleet: {job_id} has not ended by the database, and the broker has forgotten it: try in a minute")
    else:
        print(f"{job_id}  {_SAID.get(state, f'had already ended: {state}')}")
