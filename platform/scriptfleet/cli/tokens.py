"""``scriptfleet token``: who may ask the results service, and for what."""

import time

from scriptfleet.cli import stored_jobs, trail
from scriptfleet.cli.amounts import duration
from scriptfleet.cli.fleet_options import add_fleet_options, add_json, settings_of
from scriptfleet.cli.screen import moment, note, print_json
from scriptfleet.cli.submitter import submitter
from scriptfleet.cli.tables import print_table
from scriptfleet.cli.verb_parser import Namespace, VerbParser
from scriptfleet.domain.role import Role
from scriptfleet.errors import InvalidValue
from scriptfleet.storage.engine import Database
from scriptfleet.storage.token_store import Token, TokenStore


def build(parser: VerbParser) -> None:
    """Add the arguments."""
    add = parser.add_action("add", "make a token and print its secret, this once")
    add.add_argument("token_name", metavar="NAME", help="what it is for; stands in the audit log")
    add.add_argument("--role", choices=[str(role) for role in Role], required=True, help="what it allows")
    add.add_argument("--expires", type=duration, metavar="TIME", help="ends after this time, such as 30d (else never)")
    add.show_examples(
        "scriptfleet token add ci --role operator --expires 90d",
        "scriptfleet token add grafana --role viewer",
    )
    ls = parser.add_action("ls", "list tokens; never their secrets")
    revoke = parser.add_action("revoke", "end a token and the logins that were made with it")
    revoke.add_argument("token_name", metavar="NAME")
    ls.show_examples("scriptfleet token ls", "scriptfleet token ls --json")
    revoke.show_examples("scriptfleet token revoke ci")
    for action in (add, ls, revoke):
        add_json(action)
        add_fleet_options(action)
    parser.show_examples(
        "scriptfleet token add ann --role admin", "scriptfleet token ls", "scriptfleet token revoke ann"
    )


def execute(chosen: Namespace) -> int:
    """Do the action."""
    with stored_jobs.opened(settings_of(chosen)) as database:
        return {"add": _add, "ls": _list, "revoke": _revoke}[chosen.action](chosen, database)


def _add(chosen: Namespace, database: Database) -> int:
    role, now = Role(chosen.role), time.time()
    expires_at = None if chosen.expires is None else now + chosen.expires
    if expires_at is not None and expires_at <= now:
        raise InvalidValue("--expires", chosen.expires, "more than no time")
    secret = TokenStore(database).add(chosen.token_name, role, submitter(), expires_at)
    trail.keep(database, "token.add", chosen.token_name, role=role, expires_at=expires_at)
    if chosen.as_json:
        print_json({"name": chosen.token_name, "role": role, "expires_at": expires_at, "token": secret})
    else:
        ends = f"until {moment(expires_at)}" if expires_at else "until it is revoked"
        note(f"{chosen.token_name}: {role}, {ends}; this is shown once:")
        print(secret)
    return 0


def _list(chosen: Namespace, database: Database) -> int:
    found = TokenStore(database).list()
    if chosen.as_json:
        print_json([_plain(token) for token in found])
    elif found:
        print_table(("token*", "role", "state", "expires", "last used"), [_cells(token) for token in found])
    else:
        note("no tokens: the results service serves this machine alone, unless SCRIPTFLEET_API_TOKEN is set")
    return 0


def _revoke(chosen: Namespace, database: Database) -> int:
    if not TokenStore(database).revoke(chosen.token_name):
        raise InvalidValue("token name", chosen.token_name, "one that `scriptfleet token ls` shows as good")
    trail.keep(database, "token.revoke", chosen.token_name)
    if chosen.as_json:
        print_json({"name": chosen.token_name, "revoked": True})
    else:
        print(f"{chosen.token_name}: revoked")
    return 0


def _plain(token: Token) -> dict[str, object]:
    return {
        "name": token.name,
        "role": token.role,
        "state": token.state(time.time()),
        "created_at": token.created_at,
        "created_by": token.created_by,
        "expires_at": token.expires_at,
        "revoked_at": token.revoked_at,
        "last_used_at": token.last_used_at,
    }


def _cells(token: Token) -> tuple[str, ...]:
    expires = moment(token.expires_at)[:16] if token.expires_at else "never"
    return token.name, token.role, token.state(time.time()), expires, moment(token.last_used_at)[:16] or "never"
