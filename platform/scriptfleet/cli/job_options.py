"""Options that say what a job is: shared by run, submit and schedule add."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scriptfleet.cli.amounts import count, duration, pair, priority, size, span
from scriptfleet.cli.flow_options import add_flow, flow_of
from scriptfleet.cli.http_options import add_http, refuse_without_http, request_of
from scriptfleet.cli.plain_words import Namespace
from scriptfleet.cli.retry_options import add_retry, retry_of
from scriptfleet.cli.surroundings_options import add_isolation, add_surroundings, surroundings_of
from scriptfleet.errors import InvalidValue

if TYPE_CHECKING:
    from scriptfleet.cli.verb_parser import VerbParser
    from scriptfleet.queues.drafts import Draft, Options

_MIB = 1024 * 1024


def add_job(parser: "VerbParser", words_before: int = 0) -> None:
    """Add what is run, in what bounds, with what around it, and when it is tried again."""
    add_source(parser, words_before)
    add_http(parser)
    add_bounds(parser)
    add_surroundings(parser)
    add_isolation(parser)
    add_retry(parser)


def add_source(parser: "VerbParser", words_before: int = 0) -> None:
    """Add what is run: SCRIPT with its arguments, --shell, or --code."""
    parser.take_script("a script, or a folder with main.py in it", words_before)
    group = parser.add_argument_group("what to run, other than SCRIPT")
    group.add_argument("--shell", metavar="COMMAND", help="a command line for sh, as one text")
    group.add_argument("--code", metavar="PYTHON", help="Python source; words after the options are its arguments")
    group.add_argument("--entry", metavar="FILE", help="the script inside the folder (else main.py)")
    group.add_argument("--name", help="what the job is shown as (else the script's name)")


def add_bounds(parser: "VerbParser") -> None:
    """Add what one run may use."""
    group = parser.add_argument_group("bounds of a run")
    group.add_argument("--timeout", type=duration, metavar="TIME", help="end it after this time, such as 90s or 2h")
    group.add_argument("--grace", type=duration, metavar="TIME", help="between the polite TERM and KILL (else 5s)")
    group.add_argument("--memory", type=size, metavar="SIZE", help="end it above this memory, such as 256M")
    group.add_argument("--cpu-time", type=duration, metavar="TIME", help="end it above this CPU time")
    group.add_argument("--max-processes", type=count, metavar="N", help="end it above this many processes")
    group.add_argument("--open-files", type=count, metavar="N", help="each process has so many open files at most")
    group.add_argument("--file-size", type=size, metavar="SIZE", help="no file it writes grows above this")
    group.add_argument("--output-limit", type=size, metavar="SIZE", help="keep so much of each stream (else 10M)")


def add_placement(parser: "VerbParser") -> None:
    """Add where a job goes and how it is treated there."""
    group = parser.add_argument_group("on the fleet")
    group.add_argument("--queue", help="the queue (else default)")
    group.add_argument("--priority", type=priority, metavar="0-9", help="9 goes first (else 5)")
    group.add_argument("--label", type=pair, action="append", metavar="NAME=VALUE", help="a mark (repeatable)")
    group.add_argument("--group", help="the group it belongs to; groups take turns")
    add_flow(parser)


def add_moments(parser: "VerbParser") -> None:
    """Add what holds for one submit alone."""
    group = parser.add_argument_group("this submit")
    group.add_argument("--delay", type=duration, metavar="TIME", help="start it no sooner than in this time")
    group.add_argument("--expires", type=span, metavar="TIME", help="drop it when it has not started in this time")
    group.add_argument("--idempotency-key", metavar="KEY", help="the same key with the same job is submitted once")


def draft_of(chosen: Namespace, limit_bytes: int, **more: Any) -> "Draft":
    """Make the draft that the options describe. Raises InvalidValue."""
    # Reading options alone, as for help, does without.
    from scriptfleet.queues import drafts  # noqa: PLC0415

    source = the_one_source(chosen)
    options: Options = {**options_of(chosen), **more}  # type: ignore[typeddict-item]
    words = chosen.arguments if chosen.script is None else [chosen.script, *chosen.arguments]
    if source in {"--shell", "--http"}:
        _refuse_words(source, words)
    if source == "--shell":
        return drafts.of_command(chosen.shell, **options)
    if source == "--http":
        return drafts.of_http(chosen.http, **request_of(chosen), **options)
    if source == "--code":
        return drafts.of_code(chosen.code, words, limit_bytes, **options)
    if chosen.entry is not None and not Path(chosen.script).is_dir():
        raise InvalidValue("entry", chosen.entry, f"a folder as SCRIPT beside it, not {chosen.script!r}")
    return drafts.of_script(chosen.script, chosen.arguments, limit_bytes, chosen.entry, **options)


def the_one_source(chosen: Namespace) -> str:
    """Give what is run: SCRIPT, --shell, --code or --http. Raises InvalidValue when it is none or several."""
    given = [name for name in ("--shell", "--code", "--http") if getattr(chosen, name[2:]) is not None]
    if len(given) > 1:
        raise InvalidValue("source", " ".join(given), "one of SCRIPT, --shell, --code and --http")
    if given and chosen.entry is not None:
        raise InvalidValue("entry", chosen.entry, f"a folder as SCRIPT, not {given[0]}")
    if "--http" not in given:
        refuse_without_http(chosen)
    if not given and chosen.script is None:
        raise InvalidValue("source", "", "a SCRIPT, --shell COMMAND, --code PYTHON or --http URL")
    return given[0] if given else "SCRIPT"


def _refuse_words(source: str, words: list[str]) -> None:
    if words:
        what = (
            "the whole command line of --shell as one quoted text" if source == "--shell" else "nothing behind --http"
        )
        raise InvalidValue("arguments", " ".join(words), what)


def options_of(chosen: Namespace) -> dict[str, Any]:
    """Give what was said as options of a submit, and nothing else. Raises InvalidValue."""
    plain = ("name", "timeout", "grace", "queue", "priority", "group", "idempotency_key")
    said = {name: getattr(chosen, name, None) for name in plain}
    labels = getattr(chosen, "label", None)
    said |= {"labels": dict(labels) if labels else None, "limits": _limits(chosen) or None, "retry": retry_of(chosen)}
    said |= surroundings_of(chosen) | flow_of(chosen)
    found = {name: value for name, value in said.items() if value is not None}
    return found | _moments(chosen)


def _limits(chosen: Namespace) -> dict[str, Any]:
    found = {
        "memory_mb": None if chosen.memory is None else chosen.memory / _MIB,
        "cpu_seconds": chosen.cpu_time,
        "processes": chosen.max_processes,
        "open_files": chosen.open_files,
        "file_size_bytes": chosen.file_size,
        "output_bytes": chosen.output_limit,
    }
    return {name: value for name, value in found.items() if value is not None}


def _moments(chosen: Namespace) -> dict[str, float]:
    after = {"not_before": getattr(chosen, "delay", None), "expires": getattr(chosen, "expires", None)}
    given = {name: seconds for name, seconds in after.items() if seconds is not None}
    if given and chosen.idempotency_key is not None:
        # Each submit would be another spec, and so a conflict instead of the same job.
        raise InvalidValue("idempotency_key", chosen.idempotency_key, "neither --delay nor --expires beside it")
    now = time.time()
    return {name: now + seconds for name, seconds in given.items()}
