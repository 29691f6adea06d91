"""``scriptfleet flower``: becomes Flower, looking at the same broker."""

import ipaddress

from scriptfleet.cli.amounts import port
from scriptfleet.cli.celery_process import WORKER_APP, become, celery_command, need_broker
from scriptfleet.cli.fleet_options import add_fleet_options, settings_of
from scriptfleet.cli.verb_parser import Namespace, VerbParser
from scriptfleet.cli.verbs import require
from scriptfleet.config import environment_of
from scriptfleet.errors import InvalidValue

#: Where Flower itself looks; a password does not belong on a command line that everybody can list.
_LOGIN_VARIABLE = "FLOWER_BASIC_AUTH"


def build(parser: VerbParser) -> None:
    """Add the arguments."""
    parser.add_argument("--address", default="127.0.0.1", help="address to serve; others than loopback need a login")
    parser.add_argument("--port", type=port, default=5555, help="port to serve (else 5555)")
    parser.add_argument(
        "--basic-auth", metavar="USER:PASSWORD", help=f"login that is asked for; better set in {_LOGIN_VARIABLE}"
    )
    add_fleet_options(parser)
    parser.show_examples(
        "scriptfleet flower",
        "scriptfleet flower --port 5556",
        f"{_LOGIN_VARIABLE}=ops:… scriptfleet flower --address 0.0.0.0",
    )


def execute(chosen: Namespace) -> int:
    """Become Flower."""
    require("flower")
    settings = settings_of(chosen)
    need_broker(settings)
    environment = environment_of(settings)
    if chosen.basic_auth is not None:
        environment[_LOGIN_VARIABLE] = _checked_login(chosen.basic_auth)
    if not _is_loopback(chosen.address) and not environment.get(_LOGIN_VARIABLE):
        raise InvalidValue("address", chosen.address, "a loopback address, or --basic-auth USER:PASSWORD beside it")
    words = ("flower", f"--address={chosen.address}", f"--port={chosen.port}")
    become(celery_command(WORKER_APP, *words), environment)


def _checked_login(text: str) -> str:
    user, colon, password = text.partition(":")
    if not user or not colon or not password:
        raise InvalidValue("basic-auth", "…", "USER:PASSWORD, neither of them empty")
    return text


def _is_loopback(address: str) -> bool:
    if address == "localhost":
        return True
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
