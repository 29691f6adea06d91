"""``scriptfleet status``: one job, or the fleet."""

import dataclasses
import json
import time
from typing import Any

from scriptfleet.cli import process_view
from scriptfleet.cli.fleet_options import add_fleet_options, add_json, settings_of
from scriptfleet.cli.known_job import BROKER_AWAY, look_up, whole_id
from scriptfleet.cli.screen import cost_facts, moment, print_facts, print_json
from scriptfleet.cli.verb_parser import Namespace, VerbParser
from scriptfleet.config import Settings, without_password
from scriptfleet.domain.state import State
from scriptfleet.domain.terminal_text import clean_line
from scriptfleet.domain.usage import Usage
from scriptfleet.errors import InvalidValue
from scriptfleet.queues.client import Broker
from scriptfleet.queues.connection import told_plainly
from scriptfleet.queues.fleet import FleetView, QueueDepth, WorkerInfo
from scriptfleet.queues.waiting import why_waits


def build(parser: VerbParser) -> None:
    """Add the arguments."""
    parser.add_argument(
        "job", nargs="?", metavar="JOB", help="a job's id or its beginning; without it, the whole fleet"
    )
    parser.add_argument(
        "--processes", action="store_true", help="the job's process tree: now, or as it was when it was largest"
    )
    add_json(parser)
    add_fleet_options(parser)
    parser.show_examples(
        "scriptfleet status",
        "scriptfleet status 4f0c2a9e",
        "scriptfleet status --processes 4f0c2a9e",
        "scriptfleet status --json 4f0c2a9e",
    )


def execute(chosen: Namespace) -> int:
    """Print it."""
    settings = settings_of(chosen)
    if chosen.job is None:
        if chosen.processes:
            raise InvalidValue("--processes", "no job", "a job whose processes are shown: status --processes JOB")
        _show_fleet(settings, chosen.as_json)
    else:
        known = look_up(settings, whole_id(settings, chosen.job))
        more = {"now": _last_reading(settings, known), "waits": _why_it_waits(settings, known)}
        if chosen.processes:
            more["process_tree"] = process_view.tree_of(settings, known)
        known |= {name: found for name, found in more.items() if found is not None}
        _show_job(known, chosen.as_json)
        if chosen.processes and not chosen.as_json:
            _show_processes(known.get("process_tree"))
    return 0


def _show_processes(tree: dict[str, Any] | None) -> None:
    if tree is None:
        print("\nno processes are known: it has not run, was too short, or its worker does not tell")
        return
    print(f"\n{tree['count']} processes, {tree['seconds']:.1f} s after the start")
    print("\n".join(process_view.tree_lines(tree)))


def _last_reading(settings: Settings, known: dict[str, Any]) -> dict[str, Any] | None:
    """Give what a running job used a moment ago; None when nobody tells."""
    if known["state"] != State.RUNNING:
        return None
    try:
        broker = Broker(settings)
        with told_plainly(broker.url):
            found = broker.redis.hget(broker.keys("live"), known["job_id"])
    except BROKER_AWAY:
        # look_up has said so.
        return None
    elapsed = {} if known["started_at"] is None else {"seconds": max(0.0, time.time() - known["started_at"])}
    return (json.loads(found) if found else {}) | elapsed


def _why_it_waits(settings: Settings, known: dict[str, Any]) -> str | None:
    """Say why a queued job has not started; None for others, and when nobody tells."""
    if known["state"] != State.QUEUED:
        return None
    try:
        return why_waits(Broker(settings), known["job_id"])
    except BROKER_AWAY:
        # look_up has said so.
        return None


def _now_facts(reading: dict[str, Any]) -> dict[str, str]:
    parts = {
        "elapsed": (reading.get("seconds"), "{:.0f} s"),
        "CPU now": (reading.get("cpu_percent"), "{:.0f} %"),
        "memory now": (reading.get("memory_mb"), "{:.1f} MiB"),
        "read so far": (_mib(reading.get("block_io_read_bytes")), "{:.1f} MiB"),
        "written so far": (_mib(reading.get("block_io_write_bytes")), "{:.1f} MiB"),
        "processes": (reading.get("processes"), "{}"),
        "progress": (reading.get("progress"), "{}"),
    }
    shown = {name: form.format(value) for name, (value, form) in parts.items() if value is not None}
    return shown | {"message": clean_line(str(reading.get("message") or ""))}


def _mib(size_bytes: int | None) -> float | None:
    return None if size_bytes is None else size_bytes / (1024 * 1024)


def _artifact_line(artifact: dict[str, Any]) -> str:
    return f"{clean_line(artifact['name'], 44)}  {artifact['size_bytes']:,} bytes"


def _show_job(known: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(known)
        return
    ask = ", asked to end" if known["is_cancel_asked"] and known["state"] == "running" else ""
    print_facts(
        {
            "job": known["job_id"],
            "name": clean_line(known["name"] or ""),
            "state": known["state"] + ask,
            "queue": "" if known["queue"] is None else f"{known['queue']}, priority {known['priority']}",
            "waits": clean_line(known.get("waits", "")),
            "attempt": str(known["attempt"] or ""),
            "memory limit": _limit(known["metrics"]["memory_limit_mb"]),
            "worker": clean_line(known["worker"] or ""),
            "submitted": moment(known["submitted_at"]),
            "started": moment(known["started_at"]),
            "ended": moment(known["ended_at"]),
            "rerun of": known["rerun_of"] or "",
            "reason": clean_line(known["reason"] or ""),
            **cost_facts(Usage.from_dict(known["metrics"])),
            "artifacts": "\n".join(map(_artifact_line, known["artifacts"] or ())),
            **_now_facts(known.get("now", {})),
        }
    )


def _limit(memory_mb: float | None) -> str:
    return "" if memory_mb is None else f"{memory_mb:,.1f} MiB in its last run"


def _show_fleet(settings: Settings, as_json: bool) -> None:
    broker = Broker(settings)
    with told_plainly(broker.url):
        view = FleetView(broker.redis, broker.keys)
        workers, queues = view.workers(), view.queues()
    if as_json:
        depths = {name: dataclasses.asdict(depth) for name, depth in queues.items()}
        print_json({"workers": [dataclasses.asdict(worker) for worker in workers], "queues": depths})
        return
    print(f"broker  {without_password(broker.url)}\n")
    _print_tables(workers, queues)


def _print_tables(workers: list[WorkerInfo], queues: dict[str, QueueDepth]) -> None:
    # Drawing tables costs start-up time that `status JOB` need not pay.
    from scriptfleet.cli.tables import print_table  # noqa: PLC0415

    if workers:
        rows = [
            (worker.name, str(worker.running), str(worker.slots), ", ".join(worker.queues), worker.version)
            for worker in workers
        ]
        print_table(("worker*", "running>", "slots>", "queues*", "version"), rows)
        for worker in workers:
            if worker.throttled:
                print(f"{clean_line(worker.name)} takes no new job: {clean_line(worker.throttled)}")
    else:
        print("no worker is alive: start one with `scriptfleet worker`")
    if queues:
        print()
        counts = [(name, str(depth.waiting), str(depth.running), str(depth.delayed)) for name, depth in queues.items()]
        print_table(("queue*", "waiting>", "running>", "delayed>"), counts)
        for name in (name for name, depth in queues.items() if depth.paused_at_ms is not None):
            print(f"queue {name} is paused")
