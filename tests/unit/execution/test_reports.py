"""What scripts say back is read as it comes, and believed within bounds."""

import json
import os
import threading
from pathlib import Path

import pytest

from scriptfleet import report
from scriptfleet.execution.reports import MOST_NAMES, Progress, Reports, Said


def said(tmp_path: Path, *lines: object) -> Said:
    path = tmp_path / "report.jsonl"
    path.write_bytes(b"".join(line if isinstance(line, bytes) else json.dumps(line).encode() + b"\n" for line in lines))
    return Reports(path).finish()


def metric(name: object, value: object) -> dict[str, object]:
    return {"metric": {"name": name, "value": value}}


def test_of_one_name_the_last_value_counts(tmp_path: Path) -> None:
    assert said(tmp_path, metric("a", 1), metric("b", -2.5), metric("a", 3)).metrics == {"a": 3.0, "b": -2.5}


def test_a_script_that_says_nothing_has_said_nothing(tmp_path: Path) -> None:
    assert vars(Reports(tmp_path / "none").finish()) == vars(Said())


def test_a_last_line_without_its_newline_counts(tmp_path: Path) -> None:
    assert said(tmp_path, b'{"metric": {"name": "a", "value": 1}}').metrics == {"a": 1.0}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"hello\n", "line 1: expected JSON"),
        (b"\xff\xfe\n", "line 1: expected JSON"),
        (b"[" * 100_0 + b"\n", "line 1: expected JSON"),
        (b"[" * 15_000 + b"\n", "line 1: expected JSON"),
        (b"[1]\n", "line 1: report: expected a mapping with string keys"),
        (b"x" * 20_000 + b"\n", "line 1: expected at most 16,384 bytes"),
        (metric("a", "12"), "line 1: metric.value: expected a finite number"),
        (metric("a", True), "line 1: metric.value: expected a finite number"),
        (b'{"metric": {"name": "a", "value": NaN}}\n', "line 1: metric.value: expected a finite number"),
        (b'{"metric": {"name": "a", "value": 1e999}}\n', "line 1: metric.value: expected a finite number"),
        (metric("", 1), "line 1: metric.name: expected something that is not empty"),
        (metric("x" * 129, 1), "line 1: metric.name: expected at most 128 characters, not 129"),
        (metric("a\x1b[31m", 1), "line 1: metric.name: expected printable text"),
        (metric(5, 1), "line 1: metric.name: expected a string"),
        (b'{"metric": {"name": "\\ud800", "value": 1}}\n', "text without NUL bytes or lone surrogates"),
        ({"progress": {"fraction": 1.5}}, "line 1: progress.fraction: expected a number from 0 to 1"),
        ({"artifact": {}}, "line 1: artifact.path: expected a string"),
        ({"metrik": {}}, "line 1: report: expected one of metric, progress, artifact"),
    ],
)
def test_a_line_that_cannot_be_is_counted_and_named_by_its_number(tmp_path: Path, line: object, reason: str) -> None:
    found = said(tmp_path, line, metric("after", 1))

    assert found.refused == 1
    assert reason in found.faults[0]
    assert found.metrics == {"after": 1.0}


def test_an_integer_too_large_for_a_float_is_refused(tmp_path: Path) -> None:
    found = said(tmp_path, b'{"metric": {"name": "a", "value": 1' + b"0" * 400 + b"}}\n")

    assert (found.metrics, found.refused) == ({}, 1)


def test_names_are_bounded_and_faults_are_counted_beyond_those_named(tmp_path: Path) -> None:
    found = said(tmp_path, *(metric(f"n{number}", number) for number in range(MOST_NAMES + 50)), metric("n0", 7))

    assert len(found.metrics) == MOST_NAMES
    assert found.metrics["n0"] == 7.0
    assert (found.refused, len(found.faults)) == (50, 10)


def test_progress_is_read_as_the_file_grows_also_in_halves_of_a_line(tmp_path: Path) -> None:
    path = tmp_path / "report.jsonl"
    reports = Reports(path)

    assert reports.look() is None
    with path.open("ab", buffering=0) as out:
        out.write(b'{"progress": {"fraction": 0.1}}\n{"progress": {"fra')
        assert reports.look() == Progress(0.1)
        out.write(b'ction": 0.2, "message": "' + "ü".encode() + b'"}}\n')
        assert reports.look() == Progress(0.2, "ü")
        out.write(b"\n \n")
        assert reports.look() == Progress(0.2, "ü")
    assert reports.finish().refused == 0


def test_a_secret_in_a_message_of_progress_is_masked(tmp_path: Path) -> None:
    path = tmp_path / "report.jsonl"
    path.write_text(json.dumps({"progress": {"fraction": 0, "message": "key s3cret-value here"}}) + "\n")
    reports = Reports(path)
    reports.hide((b"s3cret-value",))

    assert reports.look() == Progress(0.0, "key *** here")


def test_what_is_written_faster_than_it_is_read_is_passed_over_but_for_its_end(tmp_path: Path) -> None:
    path = tmp_path / "report.jsonl"
    line = json.dumps(metric("steps", 1)).encode() + b"\n"
    path.write_bytes(
        line * (3 * 1024 * 1024 // len(line)) + json.dumps({"progress": {"fraction": 0.9}}).encode() + b"\n"
    )
    reports = Reports(path)

    assert reports.look() == Progress(0.9)
    found = reports.finish()
    assert found.metrics == {"steps": 1.0}
    assert found.refused == 1
    assert "passed over" in found.faults[0]


def test_a_file_that_its_script_emptied_is_read_from_its_beginning(tmp_path: Path) -> None:
    path = tmp_path / "report.jsonl"
    path.write_text(json.dumps(metric("before", 1)) + "\n" + "x" * 100)
    reports = Reports(path)
    reports.look()
    path.write_text(json.dumps(metric("after", 2)) + "\n")

    assert reports.finish().metrics == {"before": 1.0, "after": 2.0}


@pytest.mark.parametrize("kind", ["link", "fifo", "folder"])
def test_what_is_no_plain_file_is_not_read(tmp_path: Path, kind: str) -> None:
    path, other = tmp_path / "report.jsonl", tmp_path / "other"
    other.write_text(json.dumps(metric("stolen", 1)) + "\n")
    {"link": lambda: path.symlink_to(other), "fifo": lambda: os.mkfifo(path), "folder": path.mkdir}[kind]()

    found = Reports(path).finish()
    assert found.metrics == {}
    assert found.refused == 1


def test_a_file_that_cannot_be_reached_is_a_fault_that_is_told(tmp_path: Path) -> None:
    (tmp_path / "folder").write_text("put there by the script")

    assert Reports(tmp_path / "folder" / "report.jsonl").finish().faults == ["report file: Not a directory"]


def test_lines_of_many_threads_do_not_mix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCRIPTFLEET_REPORT_FILE", str(tmp_path / "report.jsonl"))

    def write(thread: int) -> None:
        for number in range(100):
            report.metric(f"{thread}-{number}", number)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    found = Reports(tmp_path / "report.jsonl").finish()
    assert (len(found.metrics), found.refused) == (800, 0)


def test_outside_a_run_reporting_does_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SCRIPTFLEET_REPORT_FILE", raising=False)
    monkeypatch.chdir(tmp_path)

    report.metric("a", 1)
    report.progress(0.5, "half")
    report.artifact("x.png")

    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_reported_does_not_end_the_script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCRIPTFLEET_REPORT_FILE", str(tmp_path / "report.jsonl"))

    report.metric("loss", float("nan"))
    report.metric("rows", "many")  # type: ignore[arg-type]
    report.progress(None)  # type: ignore[arg-type]
    report.metric("huge", 10**400)

    assert Reports(tmp_path / "report.jsonl").finish().refused == 4


def test_a_report_that_cannot_be_written_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCRIPTFLEET_REPORT_FILE", str(tmp_path / "no folder" / "report.jsonl"))

    with pytest.warns(RuntimeWarning, match="report not written"):
        report.metric("a", 1)


def test_the_folder_for_imports_comes_after_what_the_job_has_set(tmp_path: Path) -> None:
    reports = Reports(tmp_path / "r")

    assert reports.environment({"PYTHONPATH": "/mine"})["PYTHONPATH"].startswith("/mine:")
    assert [path.name for path in Path(reports.environment({})["PYTHONPATH"]).glob("*.py")] == ["scriptfleet_report.py"]
