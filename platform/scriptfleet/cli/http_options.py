"""Options that describe an HTTP request as a job."""

from typing import TYPE_CHECKING, Any, Final

from scriptfleet.cli.amounts import header
from scriptfleet.cli.plain_words import Namespace
from scriptfleet.errors import InvalidValue

if TYPE_CHECKING:
    from scriptfleet.cli.verb_parser import VerbParser

_ITS_OWN: Final = ("method", "header", "body", "bearer")


def add_http(parser: "VerbParser") -> None:
    """Add --http and what belongs to it."""
    group = parser.add_argument_group("an HTTP request")
    group.add_argument("--http", metavar="URL", help="make this request; its body is the output")
    group.add_argument("--method", help="such as POST (else GET)")
    group.add_argument("--header", type=header, action="append", metavar="'NAME: VALUE'", help="(repeatable)")
    group.add_argument("--body", metavar="TEXT", help="what is sent")
    group.add_argument("--bearer", metavar="SECRET", help="name of the secret that is sent as bearer token")


def request_of(chosen: Namespace) -> dict[str, Any]:
    """Give the request as drafts.of_http takes it."""
    auth = None if chosen.bearer is None else {"type": "bearer", "token": {"secret": chosen.bearer}}
    headers = dict(chosen.header) if chosen.header else None
    return {"method": chosen.method or "GET", "headers": headers, "body": chosen.body, "auth": auth}


def refuse_without_http(chosen: Namespace) -> None:
    """Raise InvalidValue for an option of a request where none is made."""
    for name in _ITS_OWN:
        if getattr(chosen, name) is not None:
            raise InvalidValue(f"--{name}", getattr(chosen, name), "--http URL beside it")
