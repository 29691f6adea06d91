"""Retention policies: what goes, what is archived, what is erased, and who does it; one body for every database."""

import gzip
import json
import stat
import threading
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from scriptfleet.domain.ids import new_job_id
from scriptfleet.errors import InvalidValue
from scriptfleet.results.retention import Retention
from scriptfleet.storage import archive, expire
from scriptfleet.storage.archive import restore
from scriptfleet.storage.engine import Database
from scriptfleet.storage.history import HistoryManager
from scriptfleet.storage.ingest_store import IngestStore
from scriptfleet.storage.retention_policy import PolicyStore, RetentionPolicy
from scriptfleet.storage.tables import curves, jobs, metadata, outputs, retention_policies, runs
from tests import event_factory as make

DAY = 86_400
TABLES = ("jobs", "labels", "runs", "curves", "outputs", "tails", "run_alerts")


@pytest.fixture
def history(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[HistoryManager]:
    """Keep a job that ended 0, 10, … 90 days ago, with all that a job can have, and one that has not ended."""
    # Several batches of few jobs.
    monkeypatch.setattr(expire, "_AT_ONCE", 3)
    with HistoryManager(database_url) as opened:
        for age in range(0, 100, 10):
            keep_job(opened, age)
        old = round((time.time() - 90 * DAY) * 1000)
        IngestStore(opened.database).apply([make.submitted(new_job_id(), at_ms=old)])
        yield opened


def keep_job(history: HistoryManager, days_ago: int) -> None:
    spec = make.shell_spec(labels={"team": "x"}, submitted_by="Ada Lovelace", env={"CITY": "Paris"})
    events = make.whole_job(spec, at_ms=round((time.time() - days_ago * DAY) * 1000) - 60_000)
    run_id = events[1].data["run_id"]
    IngestStore(history.database).apply([*events, make.output(events[0].job_id, run_id, b"\xffhello\n")])
    history.save_alerts(run_id, [{"name": "busy"}])


def all_rows(database: Database) -> dict[str, list[Any]]:
    with database.reading() as connection:
        tables = [table for table in metadata.sorted_tables if table is not retention_policies]
        return {table.name: sorted(map(repr, connection.execute(sa.select(table)))) for table in tables}


@pytest.mark.parametrize("compliance", [None, "GDPR"])
def test_a_dry_run_counts_what_the_real_one_then_deletes(history: HistoryManager, compliance: str | None) -> None:
    policies = RetentionPolicy(history)
    policies.add_policy("old", 45, compliance=compliance)
    before = all_rows(history.database)

    told = policies.apply_policy("old", dry_run=True)
    assert all_rows(history.database) == before
    done = policies.apply_policy("old")

    assert told | {"dry_run": False, "before": ""} == done | {"before": ""}
    after = all_rows(history.database)
    assert {name: len(before[name]) - len(after[name]) for name in TABLES} == {name: done[name] for name in TABLES}
    assert (done["jobs"], done["curves"], done["labels"]) == (5, 5, 5)
    again = policies.apply_policy("old")
    assert {again[name] for name in (*TABLES, "erased_jobs")} == {0}


def test_what_is_deleted_is_archived_first_and_restores(history: HistoryManager, tmp_path: Path) -> None:
    policies = RetentionPolicy(history)
    policies.add_policy("old", 25, archive_path=tmp_path / "archives")
    before = all_rows(history.database)

    done = policies.apply_policy("old")

    assert done["jobs"] == 7
    assert stat.S_IMODE(Path(done["archive"]).stat().st_mode) == 0o600
    assert restore(history.database, Path(done["archive"])) == {name: done[name] for name in TABLES}
    assert all_rows(history.database) == before
    # What is there already stays as it is.
    restore(history.database, Path(done["archive"]))
    assert all_rows(history.database) == before


def test_nothing_to_delete_makes_no_archive(history: HistoryManager, tmp_path: Path) -> None:
    policies = RetentionPolicy(history)
    policies.add_policy("old", 400, archive_path=tmp_path / "archives")

    assert policies.apply_policy("old")["archive"] is None
    assert list((tmp_path / "archives").iterdir()) == []


def test_gdpr_erases_what_is_about_persons_and_keeps_the_figures(history: HistoryManager, tmp_path: Path) -> None:
    policies = RetentionPolicy(history)
    policies.add_policy("privacy", 75, archive_path=tmp_path, compliance="GDPR")

    done = policies.apply_policy("privacy")

    assert (done["erased_jobs"], done["jobs"], done["outputs"]) == (7, 2, 7)
    with history.database.reading() as connection:
        old = connection.execute(
            sa.select(jobs.c.spec, jobs.c.submitted_by, runs.c.cpu_avg)
            .join(runs, runs.c.job_id == jobs.c.job_id)
            .where(jobs.c.finished_at < time.time() - 30 * DAY)
        ).all()
        left = connection.scalar(sa.select(sa.func.count()).select_from(outputs))
    assert old == [(None, None, 80.0)] * 5
    assert left == 3
    with history.database.reading() as connection:
        trees = connection.scalar(sa.select(sa.func.count(curves.c.process_tree)))
        kept = connection.scalar(sa.select(sa.func.count(curves.c.packed)))
    assert (trees, kept) == (3, 8)
    archived = gzip.decompress(Path(done["archive"]).read_bytes())
    assert b"Paris" not in archived
    assert b"Ada Lovelace" not in archived


@pytest.mark.parametrize(
    ("compliance", "asked", "kept"), [("SOC2", 90, 365), ("HIPAA", 90, 2190), ("HIPAA", 3000, 3000)]
)
def test_presets_keep_at_least_their_days_and_archive(sqlite_url: str, compliance: str, asked: int, kept: int) -> None:
    with HistoryManager(sqlite_url) as history:
        policy = RetentionPolicy(history).add_policy("rule", asked, compliance=compliance)

        assert policy["retention_days"] == kept
        assert policy["archive_path"] == f"{sqlite_url.removeprefix('sqlite:///')}.archive"
        assert RetentionPolicy(history).get_policies() == [policy]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"name": "../x"}, "policy"),
        ({"retention_days": 0}, "retention_days"),
        ({"retention_days": float("inf")}, "retention_days"),
        ({"compliance": "PCI"}, "SOC2, HIPAA, GDPR"),
        ({"archive_path": ""}, "archive_path"),
    ],
)
def test_a_policy_that_cannot_be_is_refused(history: HistoryManager, given: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidValue, match=said):
        RetentionPolicy(history).add_policy(**{"name": "rule", "retention_days": 90, **given})
    with pytest.raises(InvalidValue, match="none is defined"):
        RetentionPolicy(history).apply_policy("rule")


def test_an_archive_that_cannot_be_written_deletes_nothing(history: HistoryManager, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    policies = RetentionPolicy(history)
    policies.add_policy("old", 5, archive_path=tmp_path / "file")
    before = all_rows(history.database)

    with pytest.raises(InvalidValue, match="archive_path"):
        policies.apply_policy("old")
    assert all_rows(history.database) == before


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"plain text",
        gzip.compress(b"[]\n"),
        gzip.compress(b'{"some": "json"}\n'),
        gzip.compress(b'{"archive": "scriptfleet", "version": 1, "schema": "9999"}\n'),
        gzip.compress(b'{"archive": "scriptfleet", "version": 1, "schema": "0005"}\n{"table": "users", "row": {}}\n'),
        gzip.compress(
            b'{"archive": "scriptfleet", "version": 1, "schema": "0005"}\n{"table": "jobs", "row": {"job_id": "x"}}\n'
        ),
    ],
    ids=["empty", "text", "list", "other-json", "newer-schema", "unknown-table", "cut-short"],
)
def test_what_is_no_whole_archive_is_refused_and_changes_nothing(
    history: HistoryManager, tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "archive.jsonl.gz"
    path.write_bytes(content)
    before = all_rows(history.database)

    with pytest.raises(InvalidValue):
        restore(history.database, path)
    assert all_rows(history.database) == before


def test_an_archive_whose_few_bytes_hold_a_line_without_end_takes_no_memory(
    history: HistoryManager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "_LONGEST_LINE", 10_000)
    path = tmp_path / "archive.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"archive": "' + b"x" * 10_000_000 + b'"}\n'))
    tracemalloc.start()
    with pytest.raises(InvalidValue, match="more than 10,000 characters"):
        restore(history.database, path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000


def test_whole_batches_of_an_archive_that_is_cut_short_are_put_back(history: HistoryManager, tmp_path: Path) -> None:
    policies = RetentionPolicy(history)
    policies.add_policy("old", 25, archive_path=tmp_path)
    path = Path(policies.apply_policy("old")["archive"])
    path.write_bytes(path.read_bytes()[:-20])

    with pytest.raises(InvalidValue, match="put back before: 6 jobs"):
        restore(history.database, path)
    assert len(all_rows(history.database)["jobs"]) == 4 + 6


def test_two_services_at_once_apply_a_policy_once(history: HistoryManager) -> None:
    RetentionPolicy(history).add_policy("old", 45)
    services = [Retention(history.database) for _ in range(4)]
    later = time.time() + 7200
    applied: list[str] = []
    ready = threading.Barrier(len(services))

    def look(service: Retention) -> None:
        ready.wait()
        applied.extend(service.look(later))

    threads = [threading.Thread(target=look, args=(service,)) for service in services]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert applied == ["old"]
    policy = PolicyStore(history.database).get("old")
    assert policy.last_result is not None
    assert policy.last_result["jobs"] == 5
    assert policy.next_at == pytest.approx(later + DAY)


def test_two_that_apply_at_once_archive_each_job_once(history: HistoryManager, tmp_path: Path) -> None:
    RetentionPolicy(history).add_policy("old", 5, archive_path=tmp_path / "archives")
    results: list[dict[str, Any]] = []

    def apply() -> None:
        results.append(RetentionPolicy(history).apply_policy("old"))

    threads = [threading.Thread(target=apply) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sum(result["jobs"] for result in results) == 9
    texts = [gzip.decompress(path.read_bytes()).decode() for path in (tmp_path / "archives").iterdir()]
    lines = [json.loads(line) for text in texts for line in text.splitlines()]
    archived = [line["row"]["job_id"] for line in lines if line.get("table") == "jobs"]
    assert len(archived) == len(set(archived)) == 9


def test_a_policy_that_cannot_be_applied_is_noted_and_tried_again(history: HistoryManager, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    RetentionPolicy(history).add_policy("old", 5, archive_path=tmp_path / "file")
    later = time.time() + 7200

    assert Retention(history.database).look(later) == []

    policy = PolicyStore(history.database).get("old")
    assert "archive_path" in (policy.last_result or {})["error"]
    assert policy.next_at == pytest.approx(later + 3600)


def test_a_policy_is_not_applied_before_it_is_due(history: HistoryManager) -> None:
    RetentionPolicy(history).add_policy("old", 45)

    assert Retention(history.database).look(time.time()) == []
