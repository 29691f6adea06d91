"""``scriptfleet up``: a whole fleet in one terminal, its data in one folder."""

import secrets
import socket
from contextlib import closing

from scriptfleet.cli.amounts import port
from scriptfleet.cli.celery_process import add_log_level, add_worker_options, default_concurrency
from scriptfleet.cli.embedded.demo import Demo
from scriptfleet.cli.embedded.fleet import WORKER_SECONDS, Fleet, Wishes
from scriptfleet.cli.embedded.home import Home, held
from scriptfleet.cli.embedded.stop_signals import StopSignals
from scriptfleet.cli.fleet_options import add_fleet_options, settings_of
from scriptfleet.cli.screen import note, print_facts
from scriptfleet.cli.verb_parser import Namespace, VerbParser
from scriptfleet.cli.verbs import require
from scriptfleet.config import Settings, load_settings, without_password
from scriptfleet.errors import InvalidValue, StoreUnreachable
from scriptfleet.storage.engine import open_store
from scriptfleet.storage.token_store import has_tokens

#: Jobs mostly wait for something, so even a small machine takes some at once.
_LEAST_CONCURRENCY = 4
_TOKEN_BYTES = 32


def build(parser: VerbParser) -> None:
    """Add the arguments."""
    parser.add_argument("--demo", action="store_true", help="submit the examples and show what each cost")
    parser.add_argument("--once", action="store_true", help="stop when all is up, or when the demo is over")
    parser.add_argument("--port", type=port, default=0, help="port of the pages (else a free one)")
    add_worker_options(parser, f"the number of CPUs, at least {_LEAST_CONCURRENCY}")
    add_log_level(parser)
    add_fleet_options(parser)
    parser.show_examples(
        "scriptfleet up",
        "scriptfleet up --demo",
        "SCRIPTFLEET_HOME=/srv/fleet scriptfleet up --port 8080 --concurrency 8",
    )


def execute(chosen: Namespace) -> int:
    """Start it, keep it up until Ctrl-C or SIGTERM, end it in order; 1 when the demo was not as expected."""
    for package in ("celery", "fastapi", "uvicorn"):
        require(package)
    _refuse_busy(chosen.port)
    with StopSignals() as signals, held(load_settings().home) as home:
        return _run(chosen, home, signals)


def _refuse_busy(wanted: int) -> None:
    """Raise InvalidValue when somebody listens on the port: told here, in one line, and not by the server's log."""
    if not wanted:
        return
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError as fault:
            what = f"a port that is free ({fault.strerror or fault}); without --port a free one is chosen"
            raise InvalidValue("--port", wanted, what) from fault


def _run(chosen: Namespace, home: Home, signals: StopSignals) -> int:
    wishes = Wishes(
        port=chosen.port,
        queues=chosen.queues,
        concurrency=chosen.concurrency or max(_LEAST_CONCURRENCY, default_concurrency()),
        log_level=chosen.log_level,
    )
    with home.socket_path() as path:
        fleet = Fleet(home, able_to_ask(settings_of(chosen)), path, wishes, signals)
        try:
            fleet.start()
            _show(fleet, home, wishes)
            return _stay_up(fleet, chosen)
        finally:
            note(f"stopping: runs have {WORKER_SECONDS:g} s to finish, Ctrl-C again ends them")
            # Other terminals reach the broker until it stops.
            fleet.stop()
            home.remove_fleet_file()


def able_to_ask(settings: Settings) -> Settings:
    """Give this fleet a token of its own where one is asked for anyway: the demo asks the service as programs do."""
    if settings.api_token or not _has_tokens(settings):
        return settings
    return settings._replace(api_token=secrets.token_hex(_TOKEN_BYTES))


def _has_tokens(settings: Settings) -> bool:
    try:
        with closing(open_store(settings.store_url(), create=False)) as database:
            return has_tokens(database)
    except StoreUnreachable:
        # A home that is new, or a database that will be complained of in its own words.
        return False


def _stay_up(fleet: Fleet, chosen: Namespace) -> int:
    demo = Demo(fleet.settings, fleet.server_url) if chosen.demo else None
    if demo is not None:
        fleet.watch(demo.steps())
    if not chosen.once:
        fleet.watch()
        return 0
    return 0 if demo is None or demo.is_as_expected else 1


def _show(fleet: Fleet, home: Home, wishes: Wishes) -> None:
    print("the fleet is up\n")
    print_facts(
        {
            "page": fleet.server_url,
            "broker": without_password(fleet.settings.redis_url),
            "database": without_password(fleet.settings.store_url()),
            "worker": f"{fleet.worker_name}, {wishes.concurrency} runs at once, queues {wishes.queues}",
            "home": str(home.folder),
            "logs": str(home.folder / "log"),
        }
    )
    print("\nCtrl-C stops; data stays. In another terminal: scriptfleet submit SCRIPT\n", flush=True)
