"""Exports in every format; one body for every kind of database."""

import csv
import json
import stat
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from scriptfleet.domain.usage import MEASURES
from scriptfleet.errors import InvalidValue
from scriptfleet.storage.engine import Database, open_store
from scriptfleet.storage.export import DataExporter, export
from scriptfleet.storage.history import HistoryManager
from scriptfleet.storage.run_filter import RunFilter

HOSTILE = '=HYPERLINK("http://x")'


@pytest.fixture
def exporter(database_url: str) -> DataExporter:
    history = HistoryManager(database_url)
    for at in range(4):
        moment = f"2026-0{at + 1}-15T12:00:00+00:00"
        error = {"error_message": HOSTILE} if at == 0 else {}
        history.save_execution("ab"[at % 2] + ".py", {"start_time": moment, "cpu_max": at + 0.5, "rows": at, **error})
    return DataExporter(history)


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_csv_has_every_measure_and_no_formula(exporter: DataExporter, tmp_path: Path) -> None:
    path = tmp_path / "runs.csv"

    assert exporter.export_to_csv(path) == 4

    rows = read_csv(path)
    assert set(MEASURES) <= set(rows[0])
    assert [row["cpu_max"] for row in rows] == ["0.5", "1.5", "2.5", "3.5"]
    assert rows[0]["error_message"] == f"'{HOSTILE}"
    assert (rows[1]["script_name"], rows[1]["cpu_min"], json.loads(rows[1]["custom"])) == ("b.py", "", {"rows": 1.0})
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_filters_narrow_every_format(exporter: DataExporter, tmp_path: Path) -> None:
    assert exporter.export_to_csv(tmp_path / "m.csv", "a.py", "cpu_max", "2026-02-01") == 1
    assert read_csv(tmp_path / "m.csv")[0] | {"run_id": ""} == {
        "timestamp": "2026-03-15T12:00:00+00:00",
        "run_id": "",
        "script_name": "a.py",
        "metric_name": "cpu_max",
        "value": "2.5",
    }
    assert exporter.export_to_json(tmp_path / "m.json", metric_name="custom.rows", end_date="2026-02-15") == 2
    assert exporter.export_to_parquet(tmp_path / "m.parquet", "b.py") == 2


def test_json_is_an_array_or_lines(exporter: DataExporter, tmp_path: Path) -> None:
    exporter.export_to_json(tmp_path / "runs.json")
    exporter.export_to_json(tmp_path / "runs.jsonl")
    assert exporter.export_to_json(tmp_path / "none.json", "none.py") == 0

    array: list[dict[str, Any]] = json.loads((tmp_path / "runs.json").read_text())
    assert [one["custom.rows"] for one in array] == [0, 1, 2, 3]
    assert [json.loads(line) for line in (tmp_path / "runs.jsonl").read_text().splitlines()] == array
    assert json.loads((tmp_path / "none.json").read_text()) == []


def test_parquet_has_the_types_of_the_measures(exporter: DataExporter, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")

    exporter.export_to_parquet(tmp_path / "runs.parquet")

    table = parquet.read_table(tmp_path / "runs.parquet")
    assert table.column("cpu_max").to_pylist() == [0.5, 1.5, 2.5, 3.5]
    assert str(table.schema.field("exit_code").type) == "int64"
    assert table.column("cpu_min").null_count == 4


def test_a_missing_package_is_named_and_leaves_no_file(
    exporter: DataExporter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)

    with pytest.raises(InvalidValue, match=r"pip install 'scriptfleet\[export\]'"):
        exporter.export_to_parquet(tmp_path / "runs.parquet")
    assert list(tmp_path.glob("*runs*")) == []


def test_a_place_that_cannot_be_is_refused(exporter: DataExporter, tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none" / "runs.csv"):
        with pytest.raises(InvalidValue, match="output"):
            exporter.export_to_csv(path)


def test_an_export_that_fails_leaves_the_file_that_was_there(database: Database, tmp_path: Path) -> None:
    path = tmp_path / "runs.csv"
    path.write_text("before")
    with database.writing() as connection:
        connection.exec_driver_sql("DROP TABLE runs")

    with pytest.raises(Exception, match="runs"):
        export(database, RunFilter(), None, "csv", path)
    assert path.read_text() == "before"
    assert list(tmp_path.glob(".*part")) == []


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_memory_does_not_grow_with_the_rows(sqlite_url: str, tmp_path: Path, form: str) -> None:
    database = open_store(sqlite_url)
    rows = [(f"r{at:05}", "x" * 500, at) for at in range(20_000)]
    with database.writing() as connection:
        connection.exec_driver_sql(
            "INSERT INTO runs (run_id, job_id, error_message, began_at) VALUES (?, 'j', ?, ?)", rows
        )
    export(database, RunFilter(until=100.0), None, form, tmp_path / "warm")

    tracemalloc.start()
    assert export(database, RunFilter(), None, form, tmp_path / "out") == 20_000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert (tmp_path / "out").stat().st_size > 10_000_000
    assert peak < 3_000_000
    database.close()
