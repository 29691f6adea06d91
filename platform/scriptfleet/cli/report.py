"""``scriptfleet report``: an HTML file about a run or a script, with plots, that needs no network."""

import os
import time
from pathlib import Path
from typing import Final

from scriptfleet.cli import kept_runs
from scriptfleet.cli.amounts import count
from scriptfleet.cli.history_place import add_place, opened
from scriptfleet.cli.screen import print_json
from scriptfleet.cli.verb_parser import Namespace, VerbParser
from scriptfleet.cli.verbs import require
from scriptfleet.errors import InvalidValue, RunNotFound
from scriptfleet.storage.engine import Database
from scriptfleet.storage.paging import PageRequest
from scriptfleet.storage.record_row import STREAMS
from scriptfleet.storage.run_filter import RunFilter
from scriptfleet.storage.run_store import RunRow, RunStore

_RUNS: Final = 100
_MOST_RUNS: Final = 500


def build(parser: VerbParser) -> None:
    """Add the arguments."""
    what = "the id of a run or job, which may be cut short; or the name of a script, for its newest run"
    parser.add_argument("subject", metavar="RUN|SCRIPT", help=what)
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="where the HTML goes")
    parser.add_argument("--runs", type=count, default=_RUNS, metavar="N", help="runs in its history (else 100)")
    add_place(parser)
    parser.show_examples(
        "scriptfleet report 4f0c2a9e -o report.html",
        "scriptfleet report train.py -o train.html --runs 300",
        "scriptfleet report train.py -o train.html --history-db runs.db",
    )


def execute(chosen: Namespace) -> int:
    """Write the file, which takes the place of one that is there once it is whole."""
    if chosen.runs > _MOST_RUNS:
        raise InvalidValue("--runs", chosen.runs, f"at most {_MOST_RUNS}")
    require("jinja2")
    # The template's library is of the results service.
    from scriptfleet.results.report.file import OUTPUT_SHOWN_BYTES, Report, html  # noqa: PLC0415

    with opened(chosen) as database:
        runs = RunStore(database)
        run, is_of_script = _subject(database, chosen.subject)
        report = Report(
            run=run,
            curve=runs.curve(run.run_id),
            outputs=[(stream, runs.output_end(run.run_id, stream, OUTPUT_SHOWN_BYTES)) for stream in STREAMS],
            history=_history(runs, run, chosen.runs),
            is_of_script=is_of_script,
            made_at=time.time(),
        )
    _write(chosen.output, html(report))
    if chosen.as_json:
        print_json({"file": str(chosen.output), "run_id": run.run_id, "runs": len(report.history)})
    else:
        print(chosen.output)
    return 0


def _subject(database: Database, said: str) -> tuple[RunRow, bool]:
    """Give the run that is meant, and whether it was named by its script. Raises RunNotFound."""
    if kept_runs.is_id(said):
        try:
            return kept_runs.find(database, said).run, False
        except RunNotFound:
            # A script may be called so too.
            pass
    found = RunStore(database).page(RunFilter(name=said), PageRequest(1)).items
    if not found:
        raise RunNotFound(said)
    return found[0], True


def _history(runs: RunStore, run: RunRow, most: int) -> list[RunRow]:
    if run.name is None:
        return []
    return runs.page(RunFilter(name=run.name), PageRequest(most)).items[::-1]


def _write(path: Path, text: str) -> None:
    whole = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        # What scripts print may be private, so only the owner reads it.
        with os.fdopen(os.open(whole, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
        whole.replace(path)
    except OSError as fault:
        whole.unlink(missing_ok=True)
        raise InvalidValue("--output", str(path), f"a file that can be written ({fault.strerror})") from fault
