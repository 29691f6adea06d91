"""DataExporter: a history as CSV, JSON, JSON lines or Parquet, written row by row, the file whole or not at all."""

import csv
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from scriptfleet.errors import InvalidValue
from scriptfleet.storage.export_rows import Export, as_dict, one_metric, whole_runs
from scriptfleet.storage.history import HistoryManager, history_of
from scriptfleet.storage.metric import Metric
from scriptfleet.storage.moments import Moment, end_of, start_of
from scriptfleet.storage.run_store import RunFilter

if TYPE_CHECKING:
    from scriptfleet.storage.engine import Database

#: What a spreadsheet takes for the beginning of a formula.
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
_LINES: Final = {".jsonl", ".ndjson"}
_PARQUET_ROWS: Final = 5_000


class DataExporter:
    """Writes what a history holds. Filters are those of TimeSeriesDB; without a metric each row is a whole run.

    Each method gives the number of rows. Raises InvalidValue for a filter or file that cannot be, StoreUnreachable
    when the database is away.
    """

    def __init__(self, history_manager: HistoryManager) -> None:
        self._history = history_of(history_manager)

    def export_to_csv(
        self,
        output_path: str | Path,
        script_path: str | None = None,
        metric_name: str | None = None,
        start_date: Moment = None,
        end_date: Moment = None,
    ) -> int:
        """Write CSV with a line of headings. Text that a spreadsheet would take for a formula gets a ``'`` before."""
        return self._write("csv", output_path, script_path, metric_name, start_date, end_date)

    def export_to_json(
        self,
        output_path: str | Path,
        script_path: str | None = None,
        metric_name: str | None = None,
        start_date: Moment = None,
        end_date: Moment = None,
        *,
        lines: bool | None = None,
    ) -> int:
        """Write an array of objects, or with ``lines`` (else as .jsonl and .ndjson say it) an object a line."""
        is_lines = Path(output_path).suffix in _LINES if lines is None else lines
        return self._write("jsonl" if is_lines else "json", output_path, script_path, metric_name, start_date, end_date)

    def export_to_parquet(
        self,
        output_path: str | Path,
        script_path: str | None = None,
        metric_name: str | None = None,
        start_date: Moment = None,
        end_date: Moment = None,
    ) -> int:
        """Write Parquet; needs the extra ``export`` (pyarrow), InvalidValue without it."""
        return self._write("parquet", output_path, script_path, metric_name, start_date, end_date)

    def _write(
        self, form: str, path: str | Path, script: str | None, metric: str | None, start: Moment, end: Moment
    ) -> int:
        since, until = start_of("start_date", start), end_of("end_date", end)
        which = RunFilter(name=self._history.name_of(script), since=since, until=until)
        return export(self._history.database, which, metric, form, Path(path))


def export(database: "Database", which: RunFilter, metric: str | None, form: str, path: Path) -> int:
    """Write runs, or one metric of them, as csv, json, jsonl or parquet; give the number of rows."""
    if form not in WRITERS:
        raise InvalidValue("format", form, ", ".join(WRITERS))
    found = whole_runs(database, which) if metric is None else one_metric(database, Metric(metric, which))
    with _whole_or_not(path) as part:
        return WRITERS[form](part, found)


@contextmanager
def _whole_or_not(path: Path) -> Iterator[Path]:
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise InvalidValue("output", str(path), "a file in a folder that exists")
    try:
        # What scripts say may be private, so only the owner reads it.
        os.close(os.open(part, os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC, 0o600))
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _to_csv(path: Path, found: Export) -> int:
    written = 0
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(found.columns)
        for written, row in enumerate(found.rows, 1):  # noqa: B007 - the last number is the count
            writer.writerow(map(_cell, row))
    return written


def _cell(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _to_json(path: Path, found: Export) -> int:
    written = 0
    with path.open("w", encoding="utf-8") as file:
        for row in found.rows:
            file.write(",\n" if written else "[\n")
            file.write(json.dumps(as_dict(found.columns, row), ensure_ascii=False))
            written += 1
        file.write("\n]\n" if written else "[]\n")
    return written


def _to_lines(path: Path, found: Export) -> int:
    written = 0
    with path.open("w", encoding="utf-8") as file:
        for row in found.rows:
            file.write(json.dumps(as_dict(found.columns, row), ensure_ascii=False) + "\n")
            written += 1
    return written


def _to_parquet(path: Path, found: Export) -> int:
    try:
        # A hundred megabytes that nothing else needs.
        import pyarrow  # noqa: PLC0415
        import pyarrow.parquet  # noqa: PLC0415
    except ModuleNotFoundError as fault:
        missing = "csv, json or jsonl; for parquet run `pip install 'scriptfleet[export]'` (pyarrow is not installed)"
        raise InvalidValue("format", "parquet", missing) from fault
    kinds = {str: pyarrow.string(), int: pyarrow.int64(), float: pyarrow.float64(), bool: pyarrow.bool_()}
    schema = pyarrow.schema([(name, kinds[kind]) for name, kind in found.columns.items()])
    written = 0
    with pyarrow.parquet.ParquetWriter(path, schema, compression="zstd") as writer:
        while rows := list(islice(found.rows, _PARQUET_ROWS)):
            arrays = [
                pyarrow.array(values, field.type) for values, field in zip(zip(*rows, strict=True), schema, strict=True)
            ]
            writer.write_batch(pyarrow.record_batch(arrays, schema=schema))
            written += len(rows)
    return written


#: What can be written, by the name of the format.
WRITERS: Final[dict[str, Callable[[Path, Export], int]]] = {
    "csv": _to_csv,
    "json": _to_json,
    "jsonl": _to_lines,
    "parquet": _to_parquet,
}
