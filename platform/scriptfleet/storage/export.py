"""DataExporter: a history as CSV, JSON, JSON lines or Parquet, written row by row, the file whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from scriptfleet.errors import InvalidValue
from scriptfleet.storage.export_forms import form_of
from scriptfleet.storage.export_rows import Export, Values, rows_of
from scriptfleet.storage.history import HistoryManager, history_of
from scriptfleet.storage.moments import Moment, end_of, start_of
from scriptfleet.storage.run_filter import RunFilter

if TYPE_CHECKING:
    from scriptfleet.storage.engine import Database

_LINES: Final = {".jsonl", ".ndjson"}


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
    chosen, found, written = form_of(form), rows_of(database, which, metric), 0

    def counted() -> Iterator[Values]:
        nonlocal written
        for row in found.rows:
            written += 1
            yield row

    with _whole_or_not(path) as part, part.open("wb") as file:
        file.writelines(chosen.pieces(Export(found.columns, counted())))
    return written


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
