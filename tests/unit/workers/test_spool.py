"""Reports on disk: sent once by whoever holds them, set aside when nobody can send them, never in the way of others."""

import json
from pathlib import Path

import pytest
import redis

from scriptfleet.domain.state import State
from scriptfleet.queues.claims import Claim
from scriptfleet_workers.folders import held, remove
from scriptfleet_workers.report import Report
from scriptfleet_workers.run_folders import RunFolders
from scriptfleet_workers.spool import Refused, Spool


def report(run_id: str) -> Report:
    claim = Claim(f"job-{run_id}", run_id, "default", 0, "shell", "name", "", "{}", "", 1, 0.0, 0.0)
    return Report(claim, "{}", State.SUCCEEDED, 0.0, is_loss=False, artifacts=("a" * 64,))


def spooled(folder: Path, *run_ids: str) -> Spool:
    spool = Spool(folder / "spool")
    for run_id in run_ids:
        run_folder = folder / "runs" / run_id
        run_folder.mkdir(parents=True)
        (run_folder / "stdout").write_text(run_id)
        spool.keep(report(run_id), run_folder)
    return spool


def test_a_report_comes_back_as_it_was_with_its_files(tmp_path: Path) -> None:
    got = []
    spool = spooled(tmp_path, "r1")

    assert spool.send(lambda one, place: got.append((one, (place / "stdout").read_text()))) == 1

    assert got == [(report("r1"), "r1")]
    assert spool.send(lambda one, place: got.append((one, ""))) == 0


def test_a_report_of_a_run_that_never_had_a_folder_is_kept_too(tmp_path: Path) -> None:
    spool = spooled(tmp_path)

    spool.keep(report("r1"), tmp_path / "runs" / "r1")

    got: list[Report] = []
    assert spool.send(lambda one, place: got.append(one)) == 1
    assert got == [report("r1")]


def test_a_delivery_that_fails_for_now_leaves_all_where_they_are(tmp_path: Path) -> None:
    spool, tried = spooled(tmp_path, "r1", "r2"), []

    def away(one: Report, place: Path) -> None:
        tried.append(one.run_id)
        raise redis.ConnectionError("away")

    with pytest.raises(redis.ConnectionError):
        spool.send(away)

    assert tried == ["r1"]
    assert spool.send(lambda one, place: None) == 2


def test_what_cannot_be_sent_is_set_aside_and_the_rest_goes_on(tmp_path: Path) -> None:
    spool, sent = spooled(tmp_path, "r1", "r2", "r3", "r4", "r5"), []
    (tmp_path / "spool/r1/report.json").write_text('{"claim": 1}')
    newer = json.loads((tmp_path / "spool/r2/report.json").read_text())
    (tmp_path / "spool/r2/report.json").write_text(json.dumps(newer | {"version": 99}))
    (tmp_path / "spool/r3/report.json").write_text("[")

    def deliver(one: Report, place: Path) -> None:
        if one.run_id == "r4":
            raise Refused("WRONGTYPE")
        sent.append(one.run_id)

    assert spool.send(deliver) == 1

    assert sent == ["r5"]
    assert sorted(path.name for path in (tmp_path / "spool/failed").iterdir()) == ["r1", "r2", "r3", "r4"]
    assert (tmp_path / "spool/failed/r4/stdout").read_text() == "r4"


def test_a_report_that_another_worker_is_sending_is_left_to_it(tmp_path: Path) -> None:
    spool, sent = spooled(tmp_path, "r1"), []

    with held(tmp_path / "spool/r1") as is_ours:
        assert is_ours
        assert spool.send(lambda one, place: sent.append(one)) == 0

    assert sent == []
    assert spool.send(lambda one, place: sent.append(one)) == 1


def test_folders_of_processes_that_are_no_more_are_deleted_and_those_held_are_not(tmp_path: Path) -> None:
    (tmp_path / "123" / "run" / "work").mkdir(parents=True)
    (tmp_path / "123" / "run" / "work").chmod(0)
    other, ours = RunFolders(tmp_path), RunFolders(tmp_path)

    ours.clean_up()

    assert sorted(tmp_path.iterdir()) == sorted((other.path, ours.path))
    other.close()
    ours.close()
    assert list(tmp_path.iterdir()) == []


def test_a_leftover_that_cannot_be_deleted_is_told_and_the_rest_goes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    # A lock that is a folder cannot be opened, whoever tries.
    (tmp_path / "1" / "lock").mkdir(parents=True)
    (tmp_path / "2").mkdir()
    ours = RunFolders(tmp_path)

    ours.clean_up()

    assert sorted(tmp_path.iterdir()) == sorted((tmp_path / "1", ours.path))
    assert "leftover_stays" in caplog.text
    ours.close()


def test_folders_without_rights_are_deleted(tmp_path: Path) -> None:
    deep = tmp_path / "gone" / "a" / "b"
    deep.mkdir(parents=True)
    for folder in (deep, deep.parent, tmp_path / "gone"):
        folder.chmod(0)

    remove(tmp_path / "gone")

    assert not (tmp_path / "gone").exists()
