"""Options that say when a job that did not succeed is tried again: shared by run, submit and schedule add."""

from typing import TYPE_CHECKING, Any, Final

from scriptfleet.cli.amounts import duration, factor, names, size, whole
from scriptfleet.cli.plain_words import Namespace
from scriptfleet.domain import check
from scriptfleet.domain.retry import RetryPolicy, RetryStrategy
from scriptfleet.errors import InvalidValue

if TYPE_CHECKING:
    from scriptfleet.cli.verb_parser import VerbParser

#: The fields of a policy by the options that set them.
_FIELDS: Final = {
    "retry_strategy": "strategy",
    "retry_delay": "initial_delay",
    "retry_max_delay": "max_delay",
    "retry_multiplier": "multiplier",
    "retry_max_time": "max_total_time",
    "retry_on_errors": "retry_on",
    "skip_on_errors": "skip_on",
    "oom_memory_factor": "oom_memory_factor",
    "oom_memory_max": "oom_memory_max_mb",
    "oom_queue": "oom_queue",
}
_MIB: Final = 1024 * 1024


def add_retry(parser: "VerbParser") -> None:
    """Add how often, how soon and after what."""
    group = parser.add_argument_group("another attempt")
    group.add_argument("--retry", type=whole, metavar="N", help="so many more attempts when it does not succeed")
    group.add_argument(
        "--retry-strategy",
        choices=[str(one) for one in RetryStrategy],
        metavar="STRATEGY",
        help=f"how delays grow: {', '.join(RetryStrategy)} (else exponential)",
    )
    group.add_argument("--retry-delay", type=duration, metavar="TIME", help="the first delay (else 1s)")
    group.add_argument("--retry-max-delay", type=duration, metavar="TIME", help="the longest delay (else 60s)")
    group.add_argument("--retry-multiplier", type=factor, metavar="X", help="factor of exponential delays (else 2)")
    group.add_argument("--retry-max-time", type=duration, metavar="TIME", help="none once this much time has gone")
    group.add_argument(
        "--retry-on-errors", type=names, metavar="A,B", help="after these alone: error types, exit codes or outcomes"
    )
    group.add_argument("--skip-on-errors", type=names, metavar="A,B", help="never after these")
    group.add_argument(
        "--oom-memory-factor", type=factor, metavar="X", help="after out of memory: X times the memory (see --memory)"
    )
    group.add_argument("--oom-memory-max", type=size, metavar="SIZE", help="but never more than this, such as 8G")
    group.add_argument("--oom-queue", metavar="QUEUE", help="after out of memory: in this queue")


def retry_of(chosen: Namespace) -> RetryPolicy | None:
    """Give the policy that the options describe, None when they say nothing.

    ``chosen.retry_defaults``, where it is set, holds what another source says of it. Raises InvalidValue.
    """
    given = {name: getattr(chosen, option) for option, name in _FIELDS.items() if getattr(chosen, option) is not None}
    if "oom_memory_max_mb" in given:
        given["oom_memory_max_mb"] /= _MIB
    before: dict[str, Any] = getattr(chosen, "retry_defaults", {})
    if chosen.retry is not None:
        given["max_attempts"] = check.integer("retry", chosen.retry, 0, 999) + 1
    elif given and "max_attempts" not in before:
        options = ", ".join(f"--{option.replace('_', '-')}" for option, name in _FIELDS.items() if name in given)
        raise InvalidValue(options, "alone", "--retry N beside it")
    return RetryPolicy.from_dict(before | given) if before or given else None
