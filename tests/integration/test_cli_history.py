"""The verbs that look at history, over a fleet's database and over a file of `run`."""

import csv
import json
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from scriptfleet.cli import past_options
from scriptfleet.cli.dispatch import main
from scriptfleet.storage import distribution, series
from scriptfleet.storage.audit_store import AuditEntry, AuditStore
from scriptfleet.storage.engine import open_store
from scriptfleet.storage.export_forms import FORMS
from scriptfleet.storage.history import HistoryManager
from scriptfleet.storage.retention_policy import PRESETS

FIRST = datetime(2026, 1, 1, tzinfo=UTC).timestamp()


@pytest.fixture
def place(tmp_path: Path) -> list[str]:
    """Keep 48 runs, an hour apart."""
    path = tmp_path / "h.db"
    with HistoryManager(path) as history:
        for at in range(48):
            moment = datetime.fromtimestamp(FIRST + at * 3600, UTC)
            ends = {"exit_code": at % 2, "success": at % 2 == 0}
            history.save_execution("a\x1b[31m.py" if at == 0 else "b.py", {"start_time": moment, "cpu_max": at, **ends})
    return ["--history-db", str(path)]


def said(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> str:
    assert main(words) == code
    found = capsys.readouterr()
    assert "\x1b" not in found.out
    assert all(len(line) <= 80 for line in found.out.splitlines() if "/" not in line)
    return found.out if code == 0 else found.err


def test_history_lists_runs_by_filters(place: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert "a.py" in said(capsys, "history", *place)
    found = json.loads(said(capsys, "history", "--state", "failed", "--since", "2026-01-02", "--json", *place))

    assert len(found) == 12
    assert {run["outcome"] for run in found} == {"failed"}
    assert json.loads(said(capsys, "history", "--label", "team=x", "--json", *place)) == []


def test_a_metric_is_shown_as_values_aggregates_and_buckets(
    place: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert "▁" in said(capsys, "query", "cpu_max", "--script", "b.py", *place)
    assert len(json.loads(said(capsys, "query", "cpu_max", "--limit", "3", "--json", *place))) == 3
    assert json.loads(said(capsys, "query", "cpu_max", "--aggregate", "p50", "--json", *place))["p50"] == 23.5
    assert "p99" in said(capsys, "query", "cpu_max", "--aggregations", *place)
    days = json.loads(said(capsys, "query", "cpu_max", "--bucket", "1day", "--json", *place))
    assert [(day["timestamp"][:10], day["count"]) for day in days] == [("2026-01-01", 24), ("2026-01-02", 24)]
    assert "2026-01" in said(capsys, "query", "cpu_max", "--bucket", "1hour", *place)
    assert json.loads(said(capsys, "query", "--metrics-list", "--json", *place)) == {"exit_code": 48, "cpu_max": 48}


def test_an_export_takes_its_format_from_the_file(
    place: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "out.csv"

    assert "48 rows" in said(capsys, "export", *place, str(target)).replace("\n", " ")
    assert len(list(csv.DictReader(target.read_text().splitlines()))) == 48
    told = json.loads(said(capsys, "export", "--metric", "cpu_max", "--json", *place, str(tmp_path / "m.jsonl")))
    assert (told["format"], told["rows"]) == ("jsonl", 48)


def test_a_policy_is_added_tried_applied_and_its_archive_restored(
    place: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "archives"

    assert "quarter" in said(capsys, "retention", "add", "quarter", "--days", "90", "--archive", str(folder), *place)
    told = json.loads(said(capsys, "retention", "apply", "quarter", "--dry-run", "--json", *place))
    assert json.loads(said(capsys, "retention", "ls", "--json", *place))[0]["last_at"] is None
    assert "runs" in said(capsys, "retention", "apply", "quarter", *place, code=0)
    assert told["runs"] == json.loads(said(capsys, "retention", "ls", "--json", *place))[0]["last_result"]["runs"] == 48
    assert json.loads(said(capsys, "history", "--json", *place)) == []
    assert "48" in said(capsys, "retention", "restore", str(next(folder.iterdir())), *place)
    assert len(json.loads(said(capsys, "history", "--json", *place))) == 48
    assert json.loads(said(capsys, "retention", "rm", "quarter", "--json", *place)) == []


def test_a_dry_run_on_a_database_counts_old_entries_of_the_audit_log_too(
    place: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{place[1]}"
    with closing(open_store(url)) as database:
        old = [AuditEntry(float(at), "ann", "admin", None, "job.cancel", "j1", "ok") for at in range(5)]
        AuditStore(database).add(*old)
    said(capsys, "retention", "add", "quarter", *place)
    dry = ["retention", "apply", "quarter", "--dry-run"]

    assert json.loads(said(capsys, *dry, "--json", "--database", url))["audit"] == {"days": 400, "entries": 5}
    assert main([*dry, "--database", url]) == 0
    assert "audit log 400 days: 5 entries are older" in capsys.readouterr().err
    assert "audit" not in json.loads(said(capsys, *dry, "--json", *place))
    monkeypatch.setenv("SCRIPTFLEET_AUDIT_DAYS", "0")
    assert json.loads(said(capsys, *dry, "--json", "--database", url))["audit"] == {"days": 0, "entries": 0}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["query", "nonsense"], "metric"),
        (["query"], "--metrics-list"),
        (["query", "cpu_max", "--since", "soon"], "--since"),
        (["history", "--label", "team"], "NAME=VALUE"),
        (["export", "/no/such/folder/x.csv"], "folder"),
        (["export", "runs.xlsx"], "an ending among .csv"),
        (["retention", "apply", "none"], "policy"),
        (["retention", "add", "a/b"], "policy"),
        (["retention", "restore", "/no/such/file"], "archive"),
    ],
)
def test_what_cannot_be_is_told_in_one_line(
    place: list[str], words: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    told = said(capsys, *words, *place, code=2)

    assert expected in told
    assert told.count("\n") == 1


def test_run_has_the_same_as_options(place: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = ["run", *place, "--json"]

    assert len(json.loads(said(capsys, *run, "--query-metric", "cpu_max", "--query-script", "x/b.py"))) == 47
    assert json.loads(said(capsys, *run, "--query-metric", "cpu_max", "--aggregate", "max")) == {
        "metric_name": "cpu_max",
        "max": 47.0,
    }
    assert len(json.loads(said(capsys, *run, "--query-metric", "cpu_max", "--bucket", "1day"))) == 2
    assert "cpu_max" in json.loads(said(capsys, *run, "--metrics-list", "--query-end", "2026-01-01"))
    day = ["--export-start-date", "2026-01-02"]
    told = json.loads(said(capsys, *run, "--export-output", str(tmp_path / "x.csv"), *day))
    assert told["rows"] == 24
    added = json.loads(said(capsys, *run, "--add-retention-policy", "rule", "--compliance-mode", "GDPR"))
    assert (added[0]["retention_days"], added[0]["erase_days"]) == (90, 30)
    assert json.loads(said(capsys, *run, "--apply-retention-policy", "rule", "--retention-dry-run"))["runs"] == 48
    assert len(json.loads(said(capsys, *run, "--list-retention-policies"))) == 1
    assert "--query-metric beside it" in said(capsys, *run, "--bucket", "1day", code=2)


def test_the_options_of_run_offer_what_there_is() -> None:
    offered = (past_options.AGGREGATES, past_options.BUCKETS, past_options.FORMATS, past_options.PRESETS)

    assert offered == (distribution.AGGREGATES, tuple(series.BUCKETS), tuple(FORMS), tuple(PRESETS))


def test_a_file_that_is_not_there_is_not_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "no such file" in said(capsys, "history", "--history-db", str(tmp_path / "none.db"), code=125)
    assert list(tmp_path.iterdir()) == []
