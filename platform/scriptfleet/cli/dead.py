"""``scriptfleet dead``: jobs that ended badly and have no attempts left, and facts that no store could take."""

from collections.abc import Callable, Sequence
from typing import Any, Final

from scriptfleet.cli import trail
from scriptfleet.cli.amounts import count, duration
from scriptfleet.cli.confirm import is_sure
from scriptfleet.cli.fleet_options import add_fleet_options, add_json, settings_of
from scriptfleet.cli.known_job import check_id
from scriptfleet.cli.screen import moment, note, print_json
from scriptfleet.cli.submitter import submitter
from scriptfleet.cli.verb_parser import Namespace, VerbParser
from scriptfleet.errors import BlobMissing, InvalidValue, JobNotFound
from scriptfleet.queues.client import Client
from scriptfleet.queues.connection import told_plainly
from scriptfleet.queues.dead_events import DeadEvents
from scriptfleet.queues.dead_jobs import DeadFilter

_NOT_ALL_EXIT_CODE: Final = 1
#: Of many ids the audit log has so many.
_IDS_NOTED: Final = 20
#: What keeps one job from being replayed and says nothing of the others.
_OF_ONE_JOB: Final = (JobNotFound, BlobMissing, InvalidValue)


def build(parser: VerbParser) -> None:
    """Add the arguments."""
    ls = parser.add_action("ls", "list dead jobs, those that ended last first")
    _add_filter(ls)
    ls.add_argument("--limit", type=count, default=20, metavar="N", help="at most so many (else 20)")
    ls.show_examples("scriptfleet dead ls", "scriptfleet dead ls --queue nightly --since 2h --json")
    replay = parser.add_action("replay", "submit dead jobs again, each as a new job")
    rm = parser.add_action("rm", "take dead jobs off the list; their records stay")
    for action, name in ((replay, "replay"), (rm, "rm")):
        action.add_argument("jobs", nargs="*", metavar="JOB", help="ids of dead jobs, or their beginnings")
        action.add_argument("--all", action="store_true", dest="is_all", help="all of them, or all that fit")
        _add_filter(action)
        action.add_argument("--yes", action="store_true", help="do not ask, also where they are many")
        action.show_examples(f"scriptfleet dead {name} 4f0c2a9e", f"scriptfleet dead {name} --all --group nightly")
    events = parser.add_action("events", "list facts that no store could take, or act on them")
    _add_events(events)
    for action in (ls, replay, rm, events):
        add_json(action)
        add_fleet_options(action)
    parser.show_examples("scriptfleet dead ls", "scriptfleet dead replay --all --since 1h", "scriptfleet dead events")


def execute(chosen: Namespace) -> int:
    """Do the action."""
    client = Client(settings=settings_of(chosen))
    actions: dict[str, Callable[[Namespace, Client], int]] = {
        "ls": _list,
        "replay": _replay,
        "rm": _remove,
        "events": _events,
    }
    return actions[chosen.action](chosen, client)


def _add_filter(action: VerbParser) -> None:
    group = action.add_argument_group("which")
    group.add_argument("--queue", help="only of this queue")
    group.add_argument("--group", help="only of this group")
    group.add_argument("--since", type=duration, metavar="TIME", help="only those that ended in the last TIME")


def _add_events(action: VerbParser) -> None:
    action.add_argument("entries", nargs="*", metavar="ENTRY", help="with --reingest or --rm: which")
    act = action.add_mutually_exclusive_group()
    act.add_argument("--reingest", action="store_true", help="give them to the store once more")
    act.add_argument("--rm", action="store_true", help="forget them for good")
    action.add_argument("--all", action="store_true", dest="is_all", help="with --reingest or --rm: all of them")
    action.add_argument("--limit", type=count, default=20, metavar="N", help="list at most so many (else 20)")
    action.add_argument("--yes", action="store_true", help="do not ask, also where they are many")
    action.show_examples("scriptfleet dead events", "scriptfleet dead events --reingest --all")


def _list(chosen: Namespace, client: Client) -> int:
    found = client.dead.newest(_filter(chosen, client), chosen.limit)
    if chosen.as_json:
        print_json([one.to_dict() for one in found])
        return 0
    if not found:
        note("no dead jobs")
        return 0
    from scriptfleet.cli.tables import print_table  # noqa: PLC0415 - loading it costs what the others need not pay

    rows = [
        (
            one.job_id[:8],
            moment(one.ended_at)[5:16],
            one.outcome,
            str(one.attempts),
            one.queue,
            one.name,
            one.error or "",
        )
        for one in found
    ]
    print_table(("job", "ended", "outcome", "tries>", "queue*", "name*", "why*"), rows)
    return 0


def _replay(chosen: Namespace, client: Client) -> int:
    ids, unknown = _chosen_ids(chosen, client)
    if not is_sure(f"replay {len(ids):,} jobs", len(ids), chosen.yes):
        return _nothing("replayed")
    told = []
    for job_id in ids:
        told.append(_replay_one(client, job_id))
        if not chosen.as_json:
            _tell(told[-1])
    if chosen.as_json:
        print_json(told)
    return _NOT_ALL_EXIT_CODE if unknown or any("error" in one for one in told) else 0


def _replay_one(client: Client, job_id: str) -> dict[str, Any]:
    try:
        replayed_as = client.dead.replay(job_id, submitter()).id
    except _OF_ONE_JOB as fault:
        reason = "it is no dead job" if isinstance(fault, JobNotFound) else str(fault)
        return {"job_id": job_id, "error": reason}
    trail.tell(client.broker, "dead.replay", job_id, new_job=replayed_as)
    return {"job_id": job_id, "replayed_as": replayed_as}


def _tell(told: dict[str, Any]) -> None:
    if "error" in told:
        note(f"scriptfleet: {told['job_id']} is not replayed: {told['error']}")
    else:
        print(f"{told['job_id']}  replayed as {told['replayed_as']}")


def _remove(chosen: Namespace, client: Client) -> int:
    ids, unknown = _chosen_ids(chosen, client)
    if not is_sure(f"take {len(ids):,} jobs off the list", len(ids), chosen.yes):
        return _nothing("removed")
    removed = client.dead.remove(ids)
    trail.tell(client.broker, "dead.remove", "many", job_ids=ids[:_IDS_NOTED], removed=removed)
    if chosen.as_json:
        print_json({"removed": removed})
    else:
        print(f"{removed:,} taken off the list")
    return _NOT_ALL_EXIT_CODE if unknown or removed < len(ids) else 0


def _events(chosen: Namespace, client: Client) -> int:
    events = DeadEvents(client.broker)
    if not chosen.reingest and not chosen.rm:
        if chosen.entries or chosen.is_all:
            raise InvalidValue("entries", " ".join(chosen.entries) or "--all", "--reingest or --rm beside it")
        return _list_events(chosen, events)
    if bool(chosen.entries) == chosen.is_all:
        raise InvalidValue("entries", " ".join(chosen.entries), "either entries or --all")
    entries = events.entries() if chosen.is_all else list(chosen.entries)
    doing, done = ("reingest", "to be stored again") if chosen.reingest else ("forget", "forgotten")
    if not is_sure(f"{doing} {len(entries):,} facts", len(entries), chosen.yes):
        return _nothing("done")
    found = (events.reingest if chosen.reingest else events.remove)(entries)
    action = "events.reingest" if chosen.reingest else "events.remove"
    trail.tell(client.broker, action, "many", entries=entries[:_IDS_NOTED], found=found)
    if chosen.as_json:
        print_json({"reingested" if chosen.reingest else "removed": found})
    else:
        print(f"{found:,} {done}")
    return _NOT_ALL_EXIT_CODE if found < len(entries) else 0


def _list_events(chosen: Namespace, events: DeadEvents) -> int:
    found = events.newest(chosen.limit)
    if chosen.as_json:
        print_json([one.to_dict() for one in found])
    elif found:
        from scriptfleet.cli.tables import print_table  # noqa: PLC0415 - as above

        rows = [(one.entry, one.type or "?", (one.job_id or "?")[:8], one.reason) for one in found]
        print_table(("entry", "type", "job", "why*"), rows)
    else:
        note("no facts were set aside")
    return 0


def _filter(chosen: Namespace, client: Client) -> DeadFilter:
    since = None if chosen.since is None else _server_time(client) - chosen.since
    return DeadFilter(queue=chosen.queue, group=chosen.group, since=None if since is None else max(0.0, since))


def _server_time(client: Client) -> float:
    with told_plainly(client.broker.url):
        seconds, micros = client.broker.redis.time()
    return float(seconds) + float(micros) / 1e6


def _chosen_ids(chosen: Namespace, client: Client) -> tuple[list[str], bool]:
    """Give the ids of dead jobs that are meant, and whether some were named that are none."""
    is_filtered = any(value is not None for value in (chosen.queue, chosen.group, chosen.since))
    if bool(chosen.jobs) == chosen.is_all or (chosen.jobs and is_filtered):
        raise InvalidValue(
            "jobs", " ".join(chosen.jobs), "either ids, or --all, perhaps with --queue, --group, --since"
        )
    if chosen.is_all:
        return client.dead.ids(_filter(chosen, client)), False
    return _named(chosen.jobs, client.dead.ids())


def _named(texts: Sequence[str], dead: Sequence[str]) -> tuple[list[str], bool]:
    found: dict[str, None] = {}
    is_any_unknown = False
    for text in map(check_id, texts):
        fitting = [job_id for job_id in dead if job_id.startswith(text)]
        if len(fitting) > 1:
            raise InvalidValue("job", text, f"more digits: {len(fitting)} dead jobs begin so")
        if not fitting:
            note(f"scriptfleet: no dead job begins with {text}: `scriptfleet dead ls` lists them")
            is_any_unknown = True
        found.update(dict.fromkeys(fitting))
    return list(found), is_any_unknown


def _nothing(done: str) -> int:
    note(f"nothing was {done}")
    return _NOT_ALL_EXIT_CODE
