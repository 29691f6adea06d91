"""``scriptfleet schedule``: jobs that are submitted again and again."""

import time
import uuid

from scriptfleet.cli import stored_jobs, trail
from scriptfleet.cli.amounts import every
from scriptfleet.cli.fleet_options import add_fleet_options, add_json, settings_of
from scriptfleet.cli.job_options import add_job, add_placement, draft_of
from scriptfleet.cli.screen import moment, note, print_json
from scriptfleet.cli.submitter import submitter
from scriptfleet.cli.surroundings_options import add_warm
from scriptfleet.cli.tables import print_table
from scriptfleet.cli.verb_parser import Namespace, VerbParser
from scriptfleet.config import Settings
from scriptfleet.domain import check
from scriptfleet.domain.masking import shown_spec
from scriptfleet.domain.schedule import Schedule
from scriptfleet.errors import InvalidValue
from scriptfleet.queues.drafts import Draft
from scriptfleet.storage.schedules import ScheduleStore


def build(parser: VerbParser) -> None:
    """Add the arguments."""
    add = parser.add_action("add", "submit a script in fixed intervals from now on")
    add.add_argument("schedule_name", metavar="NAME", help="the schedule's name: letters, digits, _, - and .")
    add.add_argument("--every", type=every, required=True, metavar="TIME", help="the interval, such as 10s or 1h")
    add_job(add, words_before=1)
    add_warm(add)
    add_placement(add)
    add.show_examples(
        "scriptfleet schedule add report --every 1h examples/sales_report",
        "scriptfleet schedule add ping --every 30s --shell 'curl -fsS shop.example'",
    )
    ls = parser.add_action("ls", "list schedules")
    rm = parser.add_action("rm", "remove schedules")
    rm.add_argument("names", nargs="+", metavar="NAME")
    ls.show_examples("scriptfleet schedule ls", "scriptfleet schedule ls --json")
    rm.show_examples("scriptfleet schedule rm report", "scriptfleet schedule rm report ping")
    for action in (add, ls, rm):
        add_json(action)
        add_fleet_options(action)
    parser.show_examples(
        "scriptfleet schedule add report --every 1h report.py",
        "scriptfleet schedule ls",
        "scriptfleet schedule rm report",
    )


def execute(chosen: Namespace) -> int:
    """Do the action."""
    settings = settings_of(chosen)
    return {"add": _add, "ls": _list, "rm": _remove}[chosen.action](chosen, settings)


def new_schedule(name: str, every_seconds: float, draft: Draft) -> Schedule:
    """Make a schedule that is due for the first time one interval from now. Raises InvalidValue."""
    first_ms = round((time.time() + every_seconds) * 1000)
    return Schedule(str(uuid.uuid4()), name, draft.spec, every_seconds, first_ms)


def _add(chosen: Namespace, settings: Settings) -> int:
    check.short_name("schedule name", chosen.schedule_name)
    draft = draft_of(chosen, settings.blob_max_bytes, submitted_by=submitter(), schedule=chosen.schedule_name)
    schedule = new_schedule(chosen.schedule_name, chosen.every, draft)
    with stored_jobs.opened(settings) as database:
        ScheduleStore(database).add(schedule, draft.content)
        trail.keep(database, "schedule.add", schedule.name, every_seconds=schedule.every_seconds)
    if chosen.as_json:
        print_json(_plain(schedule, settings))
    else:
        print(f"{schedule.name}: every {schedule.every_seconds:g} s, first {moment(schedule.next_due_ms / 1000)}")
    return 0


def _list(chosen: Namespace, settings: Settings) -> int:
    with stored_jobs.opened(settings) as database:
        schedules = ScheduleStore(database).list()
    if chosen.as_json:
        print_json([_plain(schedule, settings) for schedule in schedules])
    elif schedules:
        print_table(("schedule*", "script*", "every s>", "queue", "next"), [_cells(item) for item in schedules])
    else:
        note("no schedules")
    return 0


def _remove(chosen: Namespace, settings: Settings) -> int:
    with stored_jobs.opened(settings) as database:
        store = ScheduleStore(database)
        removed = {name: store.remove(name) for name in chosen.names}
        for name in (name for name, was_there in removed.items() if was_there):
            trail.keep(database, "schedule.remove", name)
    if chosen.as_json:
        print_json(removed)
    else:
        for name in (name for name, was_there in removed.items() if was_there):
            print(f"{name}: removed")
    missing = [name for name, was_there in removed.items() if not was_there]
    if missing:
        raise InvalidValue("schedule name", ", ".join(missing), "names that `scriptfleet schedule ls` shows")
    return 0


def _plain(schedule: Schedule, settings: Settings) -> dict[str, object]:
    return {
        "schedule_id": schedule.schedule_id,
        "name": schedule.name,
        "every_seconds": schedule.every_seconds,
        "next_due_at": schedule.next_due_ms / 1000,
        "is_enabled": schedule.is_enabled,
        "spec": shown_spec(schedule.spec.to_dict(), settings.secret_prefixes),
    }


def _cells(schedule: Schedule) -> tuple[str, ...]:
    due = moment(schedule.next_due_ms / 1000) if schedule.is_enabled else "paused"
    return schedule.name, schedule.spec.name, f"{schedule.every_seconds:g}", schedule.spec.queue, due
