"""Options of every verb that talks to a fleet, and the settings they amount to."""

from typing import TYPE_CHECKING

from scriptfleet.cli.plain_words import Namespace
from scriptfleet.config import Settings, load_settings

if TYPE_CHECKING:
    from scriptfleet.cli.verb_parser import VerbParser


def add_fleet_options(parser: "VerbParser") -> None:
    """Add --redis and --database."""
    group = parser.add_argument_group("where the fleet is (else the environment, else the fleet that is up here)")
    group.add_argument("--redis", metavar="URL", help="the broker: redis://HOST:PORT/DB or unix:///PATH")
    group.add_argument("--database", metavar="URL", help="sqlite:////FOLDER/FILE.db or postgresql://USER@HOST/NAME")


def add_json(parser: "VerbParser") -> None:
    """Add --json."""
    parser.add_argument("--json", action="store_true", dest="as_json", help="print JSON for programs")


def settings_of(chosen: Namespace) -> Settings:
    """Give the settings of this call. Raises InvalidValue."""
    return load_settings().with_urls(chosen.redis, chosen.database)
