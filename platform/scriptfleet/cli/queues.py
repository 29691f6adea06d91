"""``scriptfleet queues``: what stands in them, and orders that hold for the whole fleet: pause, resume, purge."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final

from scriptfleet.cli import trail
from scriptfleet.cli.confirm import is_sure
from scriptfleet.cli.fleet_options import add_fleet_options, add_json, settings_of
from scriptfleet.cli.screen import moment, note, print_json
from scriptfleet.cli.verb_parser import Namespace, VerbParser
from scriptfleet.domain import check
from scriptfleet.errors import InvalidValue
from scriptfleet.queues.client import Broker
from scriptfleet.queues.connection import told_plainly
from scriptfleet.queues.fleet import FleetView, QueueDepth, WorkerInfo
from scriptfleet.queues.queue_control import QueueControl

_COLUMNS = ("queue*", "waiting>", "running>", "delayed>", "workers>", "slots>", "paused since")
_NOT_DONE_EXIT_CODE: Final = 1


def build(parser: VerbParser) -> None:
    """Add the arguments."""
    listing = parser.add_action("ls", "list queues: jobs in them, workers that serve them")
    listing.show_examples("scriptfleet queues ls", "scriptfleet queues ls --json")
    pause = parser.add_action("pause", "let no more jobs start; submits are accepted, what runs goes on")
    pause.add_argument("--create", action="store_true", help="also queues that were never used: before their first job")
    pause.show_examples(
        "scriptfleet queues pause nightly",
        "scriptfleet queues pause nightly reports",
        "scriptfleet queues pause --create migration",
    )
    resume = parser.add_action("resume", "let jobs start again")
    resume.show_examples("scriptfleet queues resume nightly")
    purge = parser.add_action("purge", "cancel all jobs that wait or are delayed; what runs goes on")
    purge.add_argument("--yes", action="store_true", help="do not ask")
    purge.show_examples("scriptfleet queues purge nightly", "scriptfleet queues purge nightly --yes --json")
    parser.show_examples(
        "scriptfleet queues ls", "scriptfleet queues pause nightly", "scriptfleet queues purge nightly"
    )
    for action in (pause, resume, purge):
        action.add_argument("queues", metavar="QUEUE", nargs="+")
    for action in (listing, pause, resume, purge):
        add_json(action)
        add_fleet_options(action)


def execute(chosen: Namespace) -> int:
    """Do what the action says; purge answers 1 when the person said no."""
    broker = Broker(settings_of(chosen))
    if chosen.action == "ls":
        return _list(broker, chosen.as_json)
    names = [check.queue_name(name) for name in dict.fromkeys(chosen.queues)]
    if chosen.action == "purge":
        return _purge(broker, names, chosen)
    return _turn(broker, names, chosen)


def _turn(broker: Broker, names: list[str], chosen: Namespace) -> int:
    is_pause = chosen.action == "pause"
    if not (is_pause and chosen.create):
        _refuse_unknown(names, _depths(broker), "; --create pauses one before its first job" if is_pause else "")
    controls = {name: QueueControl(broker, name) for name in names}
    changed = {name: control.pause() if is_pause else control.resume() for name, control in controls.items()}
    for name in names:
        trail.tell(broker, f"queue.{chosen.action}", name)
    if chosen.as_json:
        print_json([{"queue": name, "paused": is_pause, "changed": is_new} for name, is_new in changed.items()])
        return 0
    for name, is_new in changed.items():
        done, stood = ("paused", "was paused already") if is_pause else ("goes on", "was not paused")
        print(f"{name}  {done if is_new else stood}")
    return 0


def _purge(broker: Broker, names: list[str], chosen: Namespace) -> int:
    depths = _depths(broker)
    _refuse_unknown(names, depths)
    counts = {name: depths[name].waiting + depths[name].delayed for name in names}
    if not chosen.yes and not sys.stdin.isatty():
        raise InvalidValue("--yes", "", "--yes where nobody can be asked: a purge cancels every job that waits")
    # Of what cannot be undone a person is asked, however few the jobs are.
    question = f"cancel {sum(counts.values()):,} jobs of {', '.join(names)}"
    if not is_sure(question, sys.maxsize, chosen.yes):
        note("nothing was cancelled")
        return _NOT_DONE_EXIT_CODE
    # What comes meanwhile is not meant, and would keep the purge going.
    cancelled = {name: QueueControl(broker, name).purge(count) for name, count in counts.items()}
    for name, count in cancelled.items():
        trail.tell(broker, "queue.purge", name, cancelled=count)
    if chosen.as_json:
        print_json([{"queue": name, "cancelled": count} for name, count in cancelled.items()])
    else:
        for name, count in cancelled.items():
            print(f"{name}  {count:,} cancelled")
    return 0


def _refuse_unknown(names: list[str], known: Mapping[str, QueueDepth], beside: str = "") -> None:
    for name in names:
        if name not in known:
            raise InvalidValue("queue", name, f"one that was used: {', '.join(known) or 'none was'}{beside}")


def _depths(broker: Broker) -> dict[str, QueueDepth]:
    with told_plainly(broker.url):
        return FleetView(broker.redis, broker.keys).queues()


def _list(broker: Broker, as_json: bool) -> int:
    with told_plainly(broker.url):
        workers = FleetView(broker.redis, broker.keys).workers()
    rows = [_row(name, depth, workers) for name, depth in _depths(broker).items()]
    if as_json:
        print_json(rows)
    elif rows:
        # Drawing tables costs start-up time that orders need not pay.
        from scriptfleet.cli.tables import print_table  # noqa: PLC0415

        print_table(_COLUMNS, [_cells(row) for row in rows])
    else:
        note("no queue was used yet")
    return 0


def _row(name: str, depth: QueueDepth, workers: Sequence[WorkerInfo]) -> dict[str, Any]:
    serving = [worker for worker in workers if name in worker.queues]
    return {
        "queue": name,
        "waiting": depth.waiting,
        "running": depth.running,
        "delayed": depth.delayed,
        "workers": len(serving),
        "slots": sum(worker.slots for worker in serving),
        "paused_at": None if depth.paused_at_ms is None else depth.paused_at_ms / 1000,
    }


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    names = ("waiting", "running", "delayed", "workers", "slots")
    since = "" if row["paused_at"] is None else moment(row["paused_at"])
    return (row["queue"], *(str(row[name]) for name in names), since)
