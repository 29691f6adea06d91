"""``scriptfleet monitor``: finds jobs that stand still and sets them going again."""

import dataclasses

from scriptfleet.cli import trail
from scriptfleet.cli.fleet_options import add_fleet_options, add_json, settings_of
from scriptfleet.cli.screen import note, print_json
from scriptfleet.cli.tables import print_table
from scriptfleet.cli.verb_parser import Namespace, VerbParser
from scriptfleet.domain import check
from scriptfleet.domain.terminal_text import clean_line
from scriptfleet.monitor import UNGROUPED, lines_on, watch
from scriptfleet.queues.client import Broker
from scriptfleet.queues.stuck import StuckJob
from scriptfleet.results.monitor import COUNTED


def build(parser: VerbParser) -> None:
    """Add the arguments."""
    parser.add_argument("group", nargs="?", metavar="GROUP", help="only jobs of this group")
    parser.add_argument("--dry-run", action="store_true", help="only look: nothing at all is changed")
    parser.add_argument("--verbose", action="store_true", help="a line on each job that stands still")
    add_json(parser)
    add_fleet_options(parser)
    parser.show_examples("scriptfleet monitor", "scriptfleet monitor etl --dry-run --verbose")


def execute(chosen: Namespace) -> int:
    """Look, mend unless told not to, and print the counts."""
    group: str | None = check.optional_text("group", chosen.group, 255)
    settings = settings_of(chosen)
    counts, found, done = watch(settings, group, chosen.dry_run)
    for job_id, what in done.items():
        trail.tell(Broker(settings), "job.repair", job_id, done=what)
    if chosen.as_json:
        stuck = [_plain(job, done) for job in found.jobs]
        print_json({"counts": counts, "stuck": stuck, "not_compared": found.not_compared})
        return 0
    _print_counts(counts)
    if chosen.verbose:
        for line in lines_on(found, done):
            print(clean_line(line, 500))
    elif found.not_compared:
        note(f"scriptfleet: broker and store were not compared: {found.not_compared}")
    return 0


def _plain(job: StuckJob, done: dict[str, str]) -> dict[str, object]:
    return {**dataclasses.asdict(job), "group": job.group or UNGROUPED, "done": done.get(job.job_id)}


def _print_counts(counts: dict[str, dict[str, int]]) -> None:
    groups = list(counts["total"])
    if not groups:
        note("no jobs")
        return
    rows = [(group, *(str(counts[name][group]) for name in COUNTED)) for group in groups]
    print_table(("group*", *(f"{name}>" for name in COUNTED)), rows)
