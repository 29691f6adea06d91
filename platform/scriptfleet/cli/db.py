"""``scriptfleet db``: the database's schema."""

from contextlib import closing

from scriptfleet.cli import trail
from scriptfleet.cli.fleet_options import add_fleet_options, add_json, settings_of
from scriptfleet.cli.screen import print_json
from scriptfleet.cli.verb_parser import Namespace, VerbParser
from scriptfleet.config import without_password
from scriptfleet.storage.engine import open_store
from scriptfleet.storage.migrate import current, head, upgrade

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
    parser.show_examples("scriptfleet db upgrade", "scriptfleet db current")


def execute(chosen: Namespace) -> int:
    """Upgrade, or show; `current` answers 1 when the schema is another than this version's."""
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
