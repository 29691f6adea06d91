"""One call of ``run``: from its options to a job, its attempts here, and what is told of them.

Loaded when the options are read and the engine is on its way, since it takes as long to load as a launcher to start.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scriptfleet.cli import hooks
from scriptfleet.cli.definition_options import draft_by_name, is_by_name, unpacked
from scriptfleet.cli.job_options import draft_of, the_one_source
from scriptfleet.cli.local_job import History, JobEnd, LocalJob
from scriptfleet.cli.plain_words import Namespace
from scriptfleet.cli.run_wishes import RunWishes
from scriptfleet.cli.submitter import submitter
from scriptfleet.cli.tool_log import is_shown
from scriptfleet.config import Settings
from scriptfleet.domain.state import exit_code
from scriptfleet.errors import ScriptfleetError
from scriptfleet.execution.engine import Engine
from scriptfleet.execution.own_folder import own_folder
from scriptfleet.queues.drafts import Draft

if TYPE_CHECKING:
    from scriptfleet.domain.usage import Usage


class NotWritten(ScriptfleetError):
    """The file of measures could not be written, after a run that is over."""

    def __init__(self, path: Path, fault: OSError) -> None:
        self.path = path
        why = fault.strerror or str(fault)
        super().__init__(f"--json-output: {str(path)!r} was not written: {why}: the run is over, its cost is above")


def run_here(chosen: Namespace, wishes: RunWishes, settings: Settings, engine: Engine) -> int:
    """Run it; give the script's exit code, or the one that stands for the outcome."""
    with _script_in_place(chosen, settings) as (draft, script):
        if chosen.before is not None:
            hooks.before(chosen.before)
        open_history = partial(_history, wishes, settings) if wishes.is_kept else None
        job = LocalJob(draft.spec, script, settings, engine, open_history, echo=not chosen.as_json)
        end = job.run()
    code = exit_code(end.state, end.record.usage.exit_code)
    _tell(chosen, draft.spec.name, end, code, is_shown("INFO", wishes.log_level))
    return code


def shown_name(chosen: Namespace) -> str:
    """Give what SCRIPT is shown as: its file name, or that of its folder and the entry in it."""
    script = Path(chosen.script)
    return f"{script.resolve().name}/{chosen.entry or 'main.py'}" if _is_folder_with_entry(chosen) else script.name


def _history(wishes: RunWishes, settings: Settings) -> History:
    # The script runs while it loads.
    from scriptfleet.cli.run_history import RunHistory  # noqa: PLC0415

    return RunHistory(wishes.history, settings, wishes.retention_days)


@contextmanager
def _script_in_place(chosen: Namespace, settings: Settings) -> Iterator[tuple[Draft, Path | None]]:
    if is_by_name(chosen):
        draft = draft_by_name(chosen, settings.with_urls(database_url=chosen.database), submitter())
        with own_folder("scriptfleet-definition-") as folder:
            yield draft, unpacked(draft, folder)
        return
    limit, source = settings.blob_max_bytes, the_one_source(chosen)
    if source == "--code":
        draft = draft_of(chosen, limit, submitted_by=submitter())
        with own_folder("scriptfleet-code-") as folder:
            script = folder / "inline.py"
            script.write_text(chosen.code)
            yield draft, script
    elif source == "SCRIPT" and _is_folder_with_entry(chosen):
        # The folder is used where it lies, so there is no need to pack it.
        folder_name, entry = Path(chosen.script), chosen.entry or "main.py"
        name = chosen.name or shown_name(chosen)
        inside = Namespace(**{**vars(chosen), "script": str(folder_name / entry), "entry": None, "name": name})
        yield draft_of(inside, limit, submitted_by=submitter()), folder_name / entry
    else:
        script_path = Path(chosen.script) if source == "SCRIPT" else None
        yield draft_of(chosen, limit, submitted_by=submitter()), script_path


def _is_folder_with_entry(chosen: Namespace) -> bool:
    return (Path(chosen.script) / (chosen.entry or "main.py")).is_file()


def _tell(chosen: Namespace, name: str, end: JobEnd, code: int, is_cost_shown: bool) -> None:
    # Loaded by now: it knows the words of a record, and those were needed at the run's end.
    from scriptfleet.cli.screen import cost_lines, note, print_json  # noqa: PLC0415

    usage = end.record.usage
    if chosen.as_json:
        print_json(_plain(name, end, code))
    elif (not chosen.quiet and is_cost_shown) or (usage.exit_code is None and usage.error_message):
        # Of a script that never started nothing else is heard.
        note(cost_lines(name, end.state, usage))
    kept, fault = _kept(chosen.json_output, usage)
    if chosen.after is not None:
        _call_after(chosen.after, end, code, kept)
    if fault is not None:
        # Last of all: the run is over, and its cost told.
        raise fault


def _measures(usage: "Usage") -> str:
    # Few calls want them.
    import json  # noqa: PLC0415

    return json.dumps(usage.to_dict(), indent=2) + "\n"


def _kept(path: Path | None, usage: "Usage") -> tuple[Path | None, NotWritten | None]:
    """Write the measures where they are wanted; give where they are, or why they are not."""
    if path is None:
        return None, None
    try:
        path.write_text(_measures(usage))
    except OSError as fault:
        return None, NotWritten(path, fault)
    return path.absolute(), None


def _call_after(command: str, end: JobEnd, code: int, kept: Path | None) -> None:
    wall = end.record.usage.execution_time_seconds
    told = {
        "SCRIPTFLEET_OUTCOME": str(end.state),
        "SCRIPTFLEET_EXIT_CODE": str(code),
        "SCRIPTFLEET_WALL_SECONDS": "" if wall is None else str(wall),
    }
    with own_folder("scriptfleet-after-") as folder:
        path = kept or folder / "record.json"
        if kept is None:
            path.write_text(_measures(end.record.usage))
        hooks.after(command, told | {"SCRIPTFLEET_RECORD": str(path)})


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
