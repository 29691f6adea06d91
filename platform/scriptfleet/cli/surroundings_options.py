"""Options that say what a run finds around it: variables, secrets, its interpreter, and how far it is set apart."""

from typing import TYPE_CHECKING, Any

from scriptfleet.cli.amounts import names, pair
from scriptfleet.cli.plain_words import Namespace
from scriptfleet.errors import InvalidValue

if TYPE_CHECKING:
    from scriptfleet.cli.verb_parser import VerbParser


def add_surroundings(parser: "VerbParser") -> None:
    """Add variables, secrets, the working folder and the interpreter."""
    group = parser.add_argument_group("around a run")
    group.add_argument("--env", type=pair, action="append", metavar="NAME=VALUE", help="set a variable (repeatable)")
    inherit = group.add_mutually_exclusive_group()
    inherit.add_argument(
        "--inherit-env", action="store_true", dest="inherit_env", default=None, help="inherit all that may be inherited"
    )
    inherit.add_argument(
        "--clean-env", action="store_false", dest="inherit_env", default=None, help="inherit PATH, HOME, LANG and such"
    )
    group.add_argument(
        "--exclude-env", action="append", metavar="NAME", help="do not inherit it; NAME* too (repeatable)"
    )
    group.add_argument("--secret", action="append", metavar="NAME", help="a secret that is put in (repeatable)")
    group.add_argument("--working-dir", metavar="FOLDER", help="run in this folder of the machine it runs on")
    group.add_argument("--interpreter", metavar="PYTHON", help="name or path of the interpreter of a Python script")


def add_warm(parser: "VerbParser") -> None:
    """Add --warm and --preload."""
    group = parser.add_argument_group("warm start of a Python script")
    group.add_argument("--warm", action="store_true", help="start in an interpreter that is running already")
    group.add_argument("--preload", type=names, metavar="A,B", help="with --warm: modules it has imported already")


def add_isolation(parser: "VerbParser") -> None:
    """Add how far a run is set apart from its machine."""
    group = parser.add_argument_group("set apart (refused by name where the machine cannot)")
    group.add_argument("--user", dest="as_user", metavar="NAME", help="run as this user")
    group.add_argument("--private-tmp", action="store_true", help="an empty /tmp of its own")
    group.add_argument("--read-only", action="append", metavar="PATH", help="it cannot write there (repeatable)")
    group.add_argument("--no-network", action="store_true", help="nothing but loopback; network bytes are then exact")
    group.add_argument("--no-new-privileges", action="store_true", help="nothing it starts gains privileges")


def surroundings_of(chosen: Namespace) -> dict[str, Any]:
    """Give what the options say as options of a submit; what was not said is None."""
    said = vars(chosen)
    return {
        "working_dir": chosen.working_dir,
        "interpreter": chosen.interpreter,
        "secrets": chosen.secret,
        "env": dict(chosen.env) if chosen.env else None,
        "inherit_env": chosen.inherit_env,
        "exclude_env": chosen.exclude_env,
        "isolation": _isolation(chosen) or None,
        "warm": said.get("warm") or None,
        "preload": check_preload(chosen) if "preload" in said else None,
    }


def check_preload(chosen: Namespace) -> tuple[str, ...] | None:
    """Give what --preload says. Raises InvalidValue when it stands alone."""
    preload: tuple[str, ...] | None = chosen.preload
    if preload is not None and not chosen.warm:
        raise InvalidValue("--preload", ",".join(preload), "--warm beside it")
    return preload


def _isolation(chosen: Namespace) -> dict[str, Any]:
    found = {
        "user": chosen.as_user,
        "private_tmp": chosen.private_tmp,
        "read_only": tuple(chosen.read_only or ()),
        "no_network": chosen.no_network,
        "no_new_privileges": chosen.no_new_privileges,
    }
    return {name: value for name, value in found.items() if value not in (None, False, ())}
