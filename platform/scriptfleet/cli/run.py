"""``scriptfleet run``: a script on this machine, with no server, and what it cost."""

import argparse
import json
import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from scriptfleet.cli import hooks
from scriptfleet.cli.fleet_options import add_json
from scriptfleet.cli.job_options import add_job, draft_of, the_one_source
from scriptfleet.cli.local_job import History, JobEnd, LocalJob
from scriptfleet.cli.run_wishes import RunWishes, add_history, add_watching, check_can_write, wishes_of
from scriptfleet.cli.screen import cost_lines, note, print_json
from scriptfleet.cli.submitter import submitter
from scriptfleet.cli.tool_log import listen, log
from scriptfleet.cli.verb_parser import Namespace, VerbParser
from scriptfleet.config import Settings, load_settings
from scriptfleet.domain.state import exit_code
from scriptfleet.errors import InvalidValue
from scriptfleet.queues.drafts import Draft

_DEFAULT_DAYS, _DEFAULT_LIMIT = 30, 50


def build(parser: VerbParser) -> None:
    """Add the arguments."""
    add_job(parser)
    add_watching(parser)
    add_history(parser)
    hooks.add_hooks(parser)
    parser.add_argument("--quiet", action="store_true", help="do not print the cost")
    parser.add_argument("--json-output", metavar="FILE", type=Path, help="write the measures to this file as JSON")
    add_json(parser)
    # Of submit: known here, so that a call that was copied is told where they belong.
    parser.add_argument("--warm", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--preload", help=argparse.SUPPRESS)
    parser.show_examples(
        "scriptfleet run train.py --epochs 3",
        "scriptfleet run --timeout 10m --memory 2G --json-output cost.json report.py",
        "scriptfleet run --shell 'sort big.txt | uniq -c'",
        "scriptfleet run --retry 3 --retry-delay 10s --skip-on-errors ValueError fetch.py",
        "scriptfleet run --before ./fetch_data.sh --after 'logger nightly $SCRIPTFLEET_OUTCOME' nightly.py",
        "scriptfleet run --no-network --read-only /srv --user nobody untrusted.py",
        "scriptfleet run --show-history --history-days 7 train.py",
    )


def execute(chosen: Namespace) -> int:
    """Run it; give the script's exit code, or the one that stands for the outcome."""
    wishes = wishes_of(chosen)
    listen(wishes.log_level, chosen.suppress_warnings)
    if chosen.show_history or chosen.db_stats or chosen.cleanup_old:
        return _look_back(chosen, wishes)
    _check(chosen)
    settings = load_settings()
    with _script_in_place(chosen, settings) as (draft, script):
        if chosen.before is not None:
            hooks.before(chosen.before)
        history, interval = _history(wishes, settings), wishes.interval_seconds
        job = LocalJob(draft.spec, script, settings, interval, history, echo=not chosen.as_json)
        end = job.run()
    code = exit_code(end.state, end.record.usage.exit_code)
    _tell(chosen, draft.spec.name, end, code)
    return code


def _check(chosen: Namespace) -> None:
    check_can_write("--json-output", chosen.json_output)
    if chosen.warm or chosen.preload is not None:
        where = "a worker, which keeps interpreters running: `scriptfleet submit --warm`, `scriptfleet worker --warm`"
        raise InvalidValue("option", "--warm" if chosen.warm else "--preload", where)
    if chosen.oom_queue is not None:
        raise InvalidValue("option", "--oom-queue", "a fleet, which has queues: `scriptfleet submit --oom-queue`")
    for option in ("history_days", "history_limit"):
        if getattr(chosen, option) is not None:
            raise InvalidValue(f"--{option.replace('_', '-')}", getattr(chosen, option), "--show-history beside it")


def _history(wishes: RunWishes, settings: Settings) -> History | None:
    if not wishes.is_kept:
        return None
    # Without history there is no reason to wait for it to load.
    from scriptfleet.cli.run_history import RunHistory  # noqa: PLC0415

    return RunHistory(wishes.history, settings, wishes.retention_days)


def _look_back(chosen: Namespace, wishes: RunWishes) -> int:
    if chosen.arguments or (chosen.script is not None and not chosen.show_history):
        words = " ".join(word for word in (chosen.script, *chosen.arguments) if word)
        raise InvalidValue("arguments", words, "no script to run beside this option")
    # Seeing the past takes the database library; running a script does not.
    from scriptfleet.cli import look_back  # noqa: PLC0415

    if chosen.cleanup_old:
        note(f"deleted {look_back.clean_up(wishes.history, chosen.cleanup_old)} jobs")
    if chosen.show_history:
        name = chosen.name or (_shown_name(chosen) if chosen.script else None)
        days, limit = chosen.history_days or _DEFAULT_DAYS, chosen.history_limit or _DEFAULT_LIMIT
        look_back.show(wishes.history, name, days, limit, chosen.as_json)
    if chosen.db_stats:
        look_back.show_totals(wishes.history, chosen.as_json)
    return 0


@contextmanager
def _script_in_place(chosen: Namespace, settings: Settings) -> Iterator[tuple[Draft, Path | None]]:
    limit, source = settings.blob_max_bytes, the_one_source(chosen)
    if source == "--code":
        draft = draft_of(chosen, limit, submitted_by=submitter())
        with tempfile.TemporaryDirectory(prefix="scriptfleet-code-") as folder:
            script = Path(folder) / "inline.py"
            script.write_text(chosen.code)
            yield draft, script
    elif source == "SCRIPT" and _is_folder_with_entry(chosen):
        # The folder is used where it lies, so there is no need to pack it.
        folder_name, entry = Path(chosen.script), chosen.entry or "main.py"
        name = chosen.name or _shown_name(chosen)
        inside = Namespace(**{**vars(chosen), "script": str(folder_name / entry), "entry": None, "name": name})
        yield draft_of(inside, limit, submitted_by=submitter()), folder_name / entry
    else:
        script_path = Path(chosen.script) if source == "SCRIPT" else None
        yield draft_of(chosen, limit, submitted_by=submitter()), script_path


def _shown_name(chosen: Namespace) -> str:
    script = Path(chosen.script)
    return f"{script.resolve().name}/{chosen.entry or 'main.py'}" if _is_folder_with_entry(chosen) else script.name


def _is_folder_with_entry(chosen: Namespace) -> bool:
    return (Path(chosen.script) / (chosen.entry or "main.py")).is_file()


def _tell(chosen: Namespace, name: str, end: JobEnd, code: int) -> None:
    usage = end.record.usage
    measures = json.dumps(usage.to_dict(), indent=2) + "\n"
    if chosen.json_output is not None:
        chosen.json_output.write_text(measures)
    if chosen.as_json:
        print_json(_plain(name, end, code))
    elif not chosen.quiet and log.isEnabledFor(logging.INFO):
        note(cost_lines(name, end.state, usage))
    if chosen.after is not None:
        _call_after(chosen, end, code, measures)


def _call_after(chosen: Namespace, end: JobEnd, code: int, measures: str) -> None:
    wall = end.record.usage.execution_time_seconds
    told = {
        "SCRIPTFLEET_OUTCOME": str(end.state),
        "SCRIPTFLEET_EXIT_CODE": str(code),
        "SCRIPTFLEET_WALL_SECONDS": "" if wall is None else str(wall),
    }
    with tempfile.TemporaryDirectory(prefix="scriptfleet-after-") as folder:
        path = Path(folder) / "record.json" if chosen.json_output is None else chosen.json_output.absolute()
        if chosen.json_output is None:
            path.write_text(measures)
        hooks.after(chosen.after, told | {"SCRIPTFLEET_RECORD": str(path)})


def _plain(name: str, end: JobEnd, code: int) -> dict[str, Any]:
    record = end.record
    return {
        "run_id": record.run_id,
        "job_id": record.job_id,
        "name": name,
        "outcome": str(end.state),
        "attempts": record.attempt,
        "exit_code": code,
        "stdout": record.stdout.text,
        "stderr": record.stderr.text,
        "stdout_cut_bytes": record.stdout.cut_bytes,
        "stderr_cut_bytes": record.stderr.cut_bytes,
        "metrics": record.usage.to_dict(),
    }
