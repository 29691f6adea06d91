"""``scriptfleet server``: the results service in this process."""

import logging

from scriptfleet.cli.amounts import port
from scriptfleet.cli.celery_process import add_log_level, need_broker
from scriptfleet.cli.fleet_options import add_fleet_options, settings_of
from scriptfleet.cli.verb_parser import Namespace, VerbParser
from scriptfleet.results.serve import serve


def build(parser: VerbParser) -> None:
    """Add the arguments."""
    parser.add_argument("--host", default="127.0.0.1", help="address to serve; others than loopback need a token")
    parser.add_argument("--port", type=port, default=8080, help="port to serve, 0 for a free one (else 8080)")
    parser.add_argument("--migrate", action="store_true", help="bring the database to this version's schema first")
    add_log_level(parser)
    add_fleet_options(parser)
    parser.show_examples(
        "scriptfleet server",
        "scriptfleet server --migrate --database postgresql://fleet@db.example/fleet",
        "scriptfleet server --host 0.0.0.0 --port 80    # after `scriptfleet token add`",
    )


def execute(chosen: Namespace) -> int:
    """Serve until SIGTERM or SIGINT."""
    settings = settings_of(chosen)
    need_broker(settings)
    level = logging.getLevelNamesMapping()[chosen.log_level.upper()]
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("alembic").setLevel(max(level, logging.WARNING))
    serve(settings, chosen.host, chosen.port, migrate=chosen.migrate, on_ready=_tell)
    return 0


def _tell(url: str) -> None:
    print(f"listening on {url}", flush=True)
