"""Options that say what a job asks of the whole fleet: limits by key, and a worker that fits."""

from typing import TYPE_CHECKING, Any

from scriptfleet.cli.amounts import count, pair, size
from scriptfleet.cli.plain_words import Namespace

if TYPE_CHECKING:
    from scriptfleet.cli.verb_parser import VerbParser

_MIB = 1024 * 1024


def add_flow(parser: "VerbParser") -> None:
    """Add them."""
    group = parser.add_argument_group("beside other jobs, over the whole fleet")
    group.add_argument("--concurrency-key", metavar="KEY", help="jobs of this key share a limit")
    group.add_argument(
        "--concurrency-limit", type=count, metavar="N", help="so many of them run at once; the last said"
    )
    group.add_argument("--rate-key", metavar="KEY", help="jobs of this key share a rate")
    group.add_argument("--rate-limit", metavar="N/TIME", help="so many of them start in any such time, as in 10/1m")
    group.add_argument(
        "--require", type=pair, action="append", metavar="NAME=VALUE", help="a label the worker must have (repeatable)"
    )
    group.add_argument("--needs-memory", type=size, metavar="SIZE", help="memory the worker must have free, such as 4G")


def flow_of(chosen: Namespace) -> dict[str, Any]:
    """Give what was said of them."""
    plain = ("concurrency_key", "concurrency_limit", "rate_key", "rate_limit")
    said = {name: getattr(chosen, name, None) for name in plain}
    required, memory = getattr(chosen, "require", None), getattr(chosen, "needs_memory", None)
    said |= {"requires": dict(required) if required else None}
    said |= {"needs_memory_mb": None if memory is None else memory / _MIB}
    return {name: value for name, value in said.items() if value is not None}
