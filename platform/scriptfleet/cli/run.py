"""``scriptfleet run``: a script on this machine, with no server, and what it cost."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from scriptfleet.cli import early, hooks
from scriptfleet.cli.definition_options import add_definition
from scriptfleet.cli.fleet_options import add_json
from scriptfleet.cli.job_options import add_job
from scriptfleet.cli.loading import loading
from scriptfleet.cli.past_options import add_past, asks_past
from scriptfleet.cli.plain_words import Namespace
from scriptfleet.cli.run_wishes import RunWishes, add_history, add_watching, check_can_write, wishes_of
from scriptfleet.cli.surroundings_options import add_warm, check_preload
from scriptfleet.cli.tool_log import listen
from scriptfleet.config import Settings, load_settings
from scriptfleet.errors import InvalidValue

if TYPE_CHECKING:
    from scriptfleet.cli.verb_parser import VerbParser
    from scriptfleet.execution.engine import Engine
    from scriptfleet.execution.kept.keep import Keep

_DEFAULT_DAYS, _DEFAULT_LIMIT = 30, 50


def build(parser: "VerbParser") -> None:
    """Add the arguments."""
    add_job(parser)
    add_warm(parser)
    add_definition(parser)
    parser.add_argument("--database", metavar="URL", help="where definitions are kept (else as for submit)")
    add_watching(parser)
    add_history(parser)
    add_past(parser)
    hooks.add_hooks(parser)
    parser.add_argument("--quiet", action="store_true", help="do not print the cost")
    parser.add_argument("--json-output", metavar="FILE", type=Path, help="write the measures to this file as JSON")
    add_json(parser)
    parser.show_examples(
        "scriptfleet run train.py --epochs 3",
        "scriptfleet run --timeout 10m --memory 2G --json-output cost.json report.py",
        "scriptfleet run --shell 'sort big.txt | uniq -c'",
        "scriptfleet run --retry 3 --retry-delay 10s --skip-on-errors KeyError load.py",
        "scriptfleet run --before ./get.sh --after 'echo $SCRIPTFLEET_OUTCOME' load.py",
        "scriptfleet run --no-network --read-only /srv --user nobody untrusted.py",
        "scriptfleet run --warm --preload numpy,pandas model.py",
        "scriptfleet run --definition report -P day=2026-03-01",
        "scriptfleet run --show-history --history-days 7 train.py",
    )


def execute(chosen: Namespace) -> int:
    """Run it; give the script's exit code, or the one that stands for the outcome."""
    wishes = wishes_of(chosen)
    listen(wishes.log_level, chosen.suppress_warnings)
    if asks_past(chosen) or chosen.show_history or chosen.db_stats or chosen.cleanup_old:
        return _look_back(chosen, wishes)
    _check(chosen)
    settings = load_settings()
    with _engine_on_its_way(chosen, settings, wishes) as engine:
        with loading():
            # This takes as long as the launcher needs to start.
            from scriptfleet.cli.one_run import run_here  # noqa: PLC0415

        return run_here(chosen, wishes, settings, engine)


@contextmanager
def _engine_on_its_way(chosen: Namespace, settings: Settings, wishes: RunWishes) -> Iterator["Engine"]:
    with loading():
        # Neither help nor looking back needs it.
        from scriptfleet.execution.cgroups.method import Method  # noqa: PLC0415
        from scriptfleet.execution.engine import Engine  # noqa: PLC0415

    keep = _keep(chosen, settings)
    engine = Engine(wishes.interval_seconds, not chosen.as_json, Method(settings.monitor), keep=keep)
    try:
        # What runs before the script may change what an interpreter has loaded.
        is_ahead = not chosen.warm or chosen.before is None
        if is_ahead:
            engine.start_ahead(early.taken(), (chosen.preload or ()) if chosen.warm else None)
        yield engine
    finally:
        engine.close()


def _keep(chosen: Namespace, settings: Settings) -> "Keep | None":
    if not chosen.warm and chosen.definition is None:
        return None
    # Most runs are cold.
    from scriptfleet.cli.keeping import keep_of  # noqa: PLC0415

    return keep_of(chosen, settings)


def _check(chosen: Namespace) -> None:
    check_can_write("--json-output", chosen.json_output)
    check_preload(chosen)
    if chosen.database is not None and chosen.definition is None:
        raise InvalidValue("option", "--database", "--definition NAME beside it (the history is at --history-db)")
    if chosen.oom_queue is not None:
        raise InvalidValue("option", "--oom-queue", "a fleet, which has queues: `scriptfleet submit --oom-queue`")
    for option in ("history_days", "history_limit"):
        if getattr(chosen, option) is not None:
            raise InvalidValue(f"--{option.replace('_', '-')}", getattr(chosen, option), "--show-history beside it")


def _look_back(chosen: Namespace, wishes: RunWishes) -> int:
    if chosen.arguments or (chosen.script is not None and not chosen.show_history):
        words = " ".join(word for word in (chosen.script, *chosen.arguments) if word)
        raise InvalidValue("arguments", words, "no script to run beside this option")
    # Seeing the past takes the database library; running a script does not.
    from scriptfleet.cli import look_back  # noqa: PLC0415
    from scriptfleet.cli.one_run import shown_name  # noqa: PLC0415
    from scriptfleet.cli.screen import note  # noqa: PLC0415

    if asks_past(chosen):
        from scriptfleet.cli import ask_past  # noqa: PLC0415

        ask_past.answer(chosen, wishes.history)
    if chosen.cleanup_old:
        note(f"deleted {look_back.clean_up(wishes.history, chosen.cleanup_old)} jobs")
    if chosen.show_history:
        name = chosen.name or (shown_name(chosen) if chosen.script else None)
        days, limit = chosen.history_days or _DEFAULT_DAYS, chosen.history_limit or _DEFAULT_LIMIT
        look_back.show(wishes.history, name, days, limit, chosen.as_json)
    if chosen.db_stats:
        look_back.show_totals(wishes.history, chosen.as_json)
    return 0
