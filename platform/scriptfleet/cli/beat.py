"""``scriptfleet beat``: becomes Celery beat, which fires what is scheduled."""

from scriptfleet.cli.celery_process import add_log_level, beat_command, become, need_broker
from scriptfleet.cli.fleet_options import add_fleet_options, settings_of
from scriptfleet.cli.verb_parser import Namespace, VerbParser
from scriptfleet.cli.verbs import require
from scriptfleet.config import environment_of


def build(parser: VerbParser) -> None:
    """Add the arguments."""
    add_log_level(parser)
    add_fleet_options(parser)
    parser.show_examples("scriptfleet beat", "scriptfleet beat --database postgresql://fleet@db.example/fleet")


def execute(chosen: Namespace) -> int:
    """Become beat."""
    require("celery")
    require("sqlalchemy")
    settings = settings_of(chosen)
    need_broker(settings)
    become(beat_command(chosen.log_level), environment_of(settings))
