"""``scriptfleet run``: a script on this machine, with no server, and what it cost."""

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from scriptfleet.cli.fleet_options import add_json
from scriptfleet.cli.job_options import add_bounds, add_source, draft_of
from scriptfleet.cli.screen import cost_lines, note, print_json
from scriptfleet.cli.verb_parser import Namespace, VerbParser
from scriptfleet.config import load_settings
from scriptfleet.domain.run import RunRecord
from scriptfleet.domain.state import exit_code
from scriptfleet.errors import InvalidValue
from scriptfleet.execution.local import run_local
from scriptfleet.queues.drafts import Draft


def build(parser: VerbParser) -> None:
    """Add the arguments."""
    add_source(parser)
    add_bounds(parser)
    parser.add_argument("--quiet", action="store_true", help="do not print the cost")
    parser.add_argument("--json-output", metavar="FILE", type=Path, help="write the measures to this file as JSON")
    add_json(parser)
    parser.show_examples(
        "scriptfleet run train.py --epochs 3",
        "scriptfleet run --timeout 10m --memory 2G --json-output cost.json report.py",
        "scriptfleet run --shell 'sort big.txt | uniq -c'",
    )


def execute(chosen: Namespace) -> int:
    """Run it; give the script's exit code, or the one that stands for the outcome."""
    _check_can_write(chosen.json_output)
    with _script_in_place(chosen) as (draft, script):
        record = run_local(draft.spec, script=script, echo=not chosen.as_json)
    code = exit_code(record.outcome, record.usage.exit_code)
    if chosen.json_output is not None:
        chosen.json_output.write_text(json.dumps(record.usage.to_dict(), indent=2) + "\n")
    if chosen.as_json:
        print_json(_plain(draft.spec.name, record, code))
    elif not chosen.quiet:
        note(cost_lines(draft.spec.name, record.outcome, record.usage))
    return code


@contextmanager
def _script_in_place(chosen: Namespace) -> Iterator[tuple[Draft, Path | None]]:
    limit = load_settings().blob_max_bytes
    if chosen.code is not None:
        draft = draft_of(chosen, limit)
        with tempfile.TemporaryDirectory(prefix="scriptfleet-code-") as folder:
            script = Path(folder) / "inline.py"
            script.write_text(chosen.code)
            yield draft, script
    elif chosen.script is not None and chosen.shell is None and _is_folder_with_entry(chosen):
        # The folder is used where it lies, so there is no need to pack it.
        folder_name, entry = Path(chosen.script), chosen.entry or "main.py"
        name = chosen.name or f"{folder_name.resolve().name}/{entry}"
        inside = Namespace(**{**vars(chosen), "script": str(folder_name / entry), "entry": None, "name": name})
        yield draft_of(inside, limit), folder_name / entry
    else:
        yield draft_of(chosen, limit), Path(chosen.script) if chosen.shell is None else None


def _is_folder_with_entry(chosen: Namespace) -> bool:
    return (Path(chosen.script) / (chosen.entry or "main.py")).is_file()


def _check_can_write(path: Path | None) -> None:
    # Found out before the run, not after hours of it.
    if path is not None and (path.is_dir() or not path.absolute().parent.is_dir()):
        raise InvalidValue("--json-output", str(path), "a file in a folder that exists")


def _plain(name: str, record: RunRecord, code: int) -> dict[str, Any]:
    return {
        "run_id": record.run_id,
        "name": name,
        "outcome": str(record.outcome),
        "exit_code": code,
        "stdout": record.stdout.text,
        "stderr": record.stderr.text,
        "stdout_cut_bytes": record.stdout.cut_bytes,
        "stderr_cut_bytes": record.stderr.cut_bytes,
        "metrics": record.usage.to_dict(),
    }
