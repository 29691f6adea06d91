"""``scriptfleet audit``: who changed what."""

import time
from dataclasses import asdict

from scriptfleet.cli import stored_jobs
from scriptfleet.cli.amounts import count, duration
from scriptfleet.cli.fleet_options import add_fleet_options, add_json, settings_of
from scriptfleet.cli.screen import moment, note, print_json
from scriptfleet.cli.tables import print_table
from scriptfleet.cli.verb_parser import Namespace, VerbParser
from scriptfleet.storage.audit_store import AuditEntry, AuditFilter, AuditStore
from scriptfleet.storage.engine import Database
from scriptfleet.storage.paging import MOST_ROWS, PageRequest

_SHOWN = 50


def build(parser: VerbParser) -> None:
    """Add the arguments."""
    parser.add_argument("--actor", metavar="NAME", help="only of this token, or of `nobody`, `local`, `environment`")
    parser.add_argument("--action", metavar="WHAT", dest="what", help="only of this kind, such as token.add or login")
    parser.add_argument("--target", metavar="ID", help="only what this was done to")
    parser.add_argument("--since", type=duration, metavar="TIME", help="only of the last such time, as 2h or 7d")
    parser.add_argument("--limit", type=count, default=_SHOWN, help="how many at most (default: %(default)s)")
    add_json(parser)
    add_fleet_options(parser)
    parser.show_examples("scriptfleet audit", "scriptfleet audit --actor ci --since 7d", "scriptfleet audit --json")


def execute(chosen: Namespace) -> int:
    """Show entries, the newest first."""
    since = None if chosen.since is None else max(0.0, time.time() - chosen.since)
    which = AuditFilter(chosen.actor, chosen.what, chosen.target, since)
    with stored_jobs.opened(settings_of(chosen)) as database:
        found = _newest(database, which, chosen.limit)
    if chosen.as_json:
        print_json([asdict(entry) for entry in found])
    elif found:
        print_table(("when", "who*", "from*", "what*", "target*", "result*"), [_cells(entry) for entry in found])
    else:
        note("no changes like these")
    return 0


def _newest(database: Database, which: AuditFilter, most: int) -> list[AuditEntry]:
    store, found = AuditStore(database), list[AuditEntry]()
    cursor: str | None = None
    while len(found) < most:
        page = store.page(which, PageRequest(min(MOST_ROWS, most - len(found)), cursor))
        found += page.items
        if page.next_cursor is None:
            break
        cursor = page.next_cursor
    return found


def _cells(entry: AuditEntry) -> tuple[str, ...]:
    when = moment(entry.at)[:19]
    return when, entry.actor, entry.address or "", entry.action, entry.target, entry.result
