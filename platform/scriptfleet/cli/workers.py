"""``scriptfleet workers``: who works, on what, and orders to stop taking jobs."""

import dataclasses
import time
from collections.abc import Sequence

from scriptfleet.cli import trail
from scriptfleet.cli.amounts import duration
from scriptfleet.cli.fleet_options import add_fleet_options, add_json, settings_of
from scriptfleet.cli.screen import UNKNOWN, age, moment, note, print_facts, print_json
from scriptfleet.cli.verb_parser import Namespace, VerbParser
from scriptfleet.domain.terminal_text import clean_line
from scriptfleet.errors import InvalidValue
from scriptfleet.queues.client import Broker
from scriptfleet.queues.connection import told_plainly
from scriptfleet.queues.fleet import FleetView, OrderDesk, WorkerInfo
from scriptfleet.queues.orders import Order, Verb

_COLUMNS = ("worker*", "state", "runs>", "cpu>", "mem>", "up>", "queues*", "version")


def build(parser: VerbParser) -> None:
    """Add the arguments."""
    listing = parser.add_action("ls", "list the workers that are alive")
    listing.show_examples("scriptfleet workers ls", "scriptfleet workers ls --json")
    show = parser.add_action("show", "show all that one worker says of itself")
    show.show_examples("scriptfleet workers show w1@host")
    drain = parser.add_action("drain", "let what a worker runs finish for a while, then end it")
    drain.add_argument(
        "--grace", type=duration, metavar="TIME", help="how long (else what the worker was started with)"
    )
    drain.show_examples("scriptfleet workers drain w1@host", "scriptfleet workers drain w1@host --grace 10m")
    cordon = parser.add_action("cordon", "have workers take no new job; what runs goes on")
    cordon.show_examples("scriptfleet workers cordon w1@host w2@host")
    uncordon = parser.add_action("uncordon", "have workers take jobs again")
    uncordon.show_examples("scriptfleet workers uncordon w1@host")
    parser.show_examples("scriptfleet workers ls", "scriptfleet workers drain w1@host --grace 10m")
    for action in (show, drain, cordon, uncordon):
        how_many = None if action is show else "+"
        action.add_argument("workers", metavar="NAME", nargs=how_many, help="a worker, or what stands before its @")
    for action in (listing, show, drain, cordon, uncordon):
        add_json(action)
        add_fleet_options(action)


def execute(chosen: Namespace) -> int:
    """Do what the action says."""
    broker = Broker(settings_of(chosen))
    with told_plainly(broker.url):
        workers = FleetView(broker.redis, broker.keys).workers()
    if chosen.action == "ls":
        _list(workers, chosen.as_json)
    elif chosen.action == "show":
        _show(_named(workers, chosen.workers), chosen.as_json)
    else:
        _order(broker, [_named(workers, name) for name in chosen.workers], Verb(chosen.action), chosen)
    return 0


def _named(workers: Sequence[WorkerInfo], name: str) -> WorkerInfo:
    """Give the worker of this name, or the one whose name begins so before its @. Raises InvalidValue."""
    exact = [worker for worker in workers if worker.name == name]
    found = exact or [worker for worker in workers if worker.name.partition("@")[0] == name]
    if len(found) == 1:
        return found[0]
    known = ", ".join(worker.name for worker in found or workers) or "none is alive"
    raise InvalidValue("worker", name, f"{'one of several' if found else 'one that is alive'}: {known}")


def _order(broker: Broker, workers: Sequence[WorkerInfo], verb: Verb, chosen: Namespace) -> None:
    desk = OrderDesk(broker.redis, broker.keys, broker.settings.signing_key)
    grace = chosen.grace if verb is Verb.DRAIN else None
    for worker in workers:
        with told_plainly(broker.url):
            desk.leave(Order.now(verb, worker.name, grace))
        trail.tell(broker, f"worker.{verb}", worker.name, grace_seconds=grace)
        if not chosen.as_json:
            note(f"{clean_line(worker.name)}: told to {verb}; it hears of it within seconds")
    if chosen.as_json:
        print_json([{"worker": worker.name, "order": str(verb)} for worker in workers])


def _list(workers: Sequence[WorkerInfo], as_json: bool) -> None:
    if as_json:
        print_json([dataclasses.asdict(worker) for worker in workers])
    elif workers:
        # Drawing tables costs start-up time that orders need not pay.
        from scriptfleet.cli.tables import print_table  # noqa: PLC0415

        print_table(_COLUMNS, [_cells(worker) for worker in workers])
    else:
        note("no worker is alive: start one with `scriptfleet worker`")


def _cells(worker: WorkerInfo) -> tuple[str, ...]:
    return (
        worker.name,
        str(worker.state),
        f"{worker.running}/{worker.slots}",
        _percent(worker.cpu_percent),
        _percent(worker.memory_percent),
        _up(worker.started_at),
        ",".join(worker.queues),
        worker.version,
    )


def _show(worker: WorkerInfo, as_json: bool) -> None:
    if as_json:
        print_json(dataclasses.asdict(worker))
        return
    print_facts(
        {
            "worker": clean_line(worker.name),
            "state": str(worker.state),
            "why": clean_line(worker.throttled),
            "host": f"{clean_line(worker.host)}, process {worker.pid}",
            "version": clean_line(worker.version),
            "started": moment(worker.started_at),
            "last seen": moment(worker.seen_at_ms / 1000),
            "queues": clean_line(", ".join(worker.queues)),
            "slots": f"{worker.slots}, {worker.running} in use",
            "labels": clean_line(", ".join(f"{name}={value}" for name, value in sorted(worker.labels.items()))),
            "host CPU": _percent(worker.cpu_percent),
            "host memory": _percent(worker.memory_percent),
            "for jobs": "" if worker.memory_free_mb is None else f"{worker.memory_free_mb:,.0f} MiB",
        }
    )
    for job_id in worker.jobs:
        print(f"runs  {clean_line(job_id)}")


def _percent(share: float | None) -> str:
    return UNKNOWN if share is None else f"{share:.0f}%"


def _up(started_at: float | None) -> str:
    return UNKNOWN if started_at is None else age(time.time() - started_at)
