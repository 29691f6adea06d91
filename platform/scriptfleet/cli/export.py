"""``scriptfleet export``: past runs, or one metric of them, into a file."""

from pathlib import Path

from scriptfleet.cli.history_place import add_filters, add_place, filter_of, opened
from scriptfleet.cli.screen import print_json
from scriptfleet.cli.verb_parser import Namespace, VerbParser
from scriptfleet.errors import InvalidValue
from scriptfleet.storage.engine import Database
from scriptfleet.storage.export import export
from scriptfleet.storage.export_forms import FORMS
from scriptfleet.storage.run_filter import RunFilter

_FORMS = {".csv": "csv", ".json": "json", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}


def build(parser: VerbParser) -> None:
    """Add the arguments."""
    parser.add_argument("output", type=Path, metavar="FILE", help="where to; its ending says the format")
    parser.add_argument("--format", choices=list(FORMS), help="the format (else by FILE's ending, csv for none)")
    parser.add_argument("--metric", metavar="METRIC", help="only this metric, a row a value (else whole runs)")
    add_filters(parser)
    add_place(parser)
    parser.show_examples(
        "scriptfleet export runs.csv",
        "scriptfleet export --script train.py --since 2026-01-01 train.parquet",
        "scriptfleet export --metric cpu_max --history-db runs.db cpu.jsonl",
    )


def execute(chosen: Namespace) -> int:
    """Write it."""
    form = chosen.format or format_of(chosen.output)
    which = filter_of(chosen)
    with opened(chosen) as database:
        write(database, which, chosen.metric, form, chosen.output, chosen.as_json)
    return 0


def format_of(path: Path) -> str:
    """Give the format that a file's ending says, csv where it has none. Raises InvalidValue for another ending."""
    ending = path.suffix.lower()
    if ending and ending not in _FORMS:
        raise InvalidValue("file", str(path), f"an ending among {', '.join(_FORMS)}, or a format beside it")
    return _FORMS.get(ending, "csv")


def write(database: Database, which: RunFilter, metric: str | None, form: str, path: Path, as_json: bool) -> None:
    """Write the file and tell how many rows it has."""
    written = export(database, which, metric, form, path)
    if as_json:
        print_json({"output": str(path), "format": form, "rows": written})
    else:
        print(f"{path}: {written:,} rows")
