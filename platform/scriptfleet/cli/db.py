"""``scriptfleet db``: the database's schema, and the segments that history is asked by."""

import time
from contextlib import closing

from scriptfleet.cli import trail
from scriptfleet.cli.fleet_options import add_fleet_options, add_json, settings_of
from scriptfleet.cli.history_place import add_place, opened
from scriptfleet.cli.screen import print_json
from scriptfleet.cli.verb_parser import Namespace, VerbParser
from scriptfleet.config import without_password
from scriptfleet.storage.engine import open_store
from scriptfleet.storage.migrate import current, head, upgrade
from scriptfleet.storage.segment_making import drop_all, make_segments

#: Answer of `db current` for a database that is not at this version's schema.
_BEHIND_EXIT_CODE = 1


def build(parser: VerbParser) -> None:
    """Add the arguments."""
    for name, summary in (
        ("upgrade", "bring the database to this version's schema; no row is lost"),
        ("current", "show which schema the database has"),
    ):
        action = parser.add_action(name, summary)
        add_json(action)
        add_fleet_options(action)
        action.show_examples(
            f"scriptfleet db {name}", f"scriptfleet db {name} --database postgresql://fleet@db.example/fleet"
        )
    action = parser.add_action("segments", "make the segments that are missing, as a results service does in time")
    action.add_argument("--anew", action="store_true", help="delete all of them first")
    add_place(action)
    action.show_examples("scriptfleet db segments --anew", "scriptfleet db segments --history-db metrics.db")
    parser.show_examples("scriptfleet db upgrade", "scriptfleet db current", "scriptfleet db segments")


def execute(chosen: Namespace) -> int:
    """Do the action; `current` answers 1 when the schema is another than this version's."""
    if chosen.action == "segments":
        _make_segments(chosen)
        return 0
    url = settings_of(chosen).store_url()
    if chosen.action == "upgrade":
        _upgrade(url)
    found, needed = current(url), head()
    if chosen.as_json:
        print_json({"database": without_password(url), "schema": found, "needed": needed})
    else:
        print(f"{without_password(url)}: schema {found or 'missing'}, this version needs {needed}")
    return 0 if found == needed else _BEHIND_EXIT_CODE


def _upgrade(url: str) -> None:
    before = current(url)
    upgrade(url)
    if before != head():
        with closing(open_store(url)) as database:
            trail.keep(database, "db.upgrade", head(), before=before)


def _make_segments(chosen: Namespace) -> None:
    with opened(chosen) as database:
        dropped = drop_all(database) if chosen.anew else 0
        found = {"dropped": dropped, "runs": make_segments(database, time.time())}
    if chosen.as_json:
        print_json(found)
    else:
        print(f"{found['runs']} runs taken into segments")
