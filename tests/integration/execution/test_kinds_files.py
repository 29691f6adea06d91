"""File operations as runs, on real files."""

import os
from pathlib import Path
from typing import Any

import pytest

from scriptfleet import State
from scriptfleet.domain.run import RunRecord
from scriptfleet.execution.engine import Engine
from scriptfleet.execution.program import HostRules
from scriptfleet.queues.drafts import of_file_operation
from tests.engine_bench import Bench


@pytest.fixture
def root(tmp_path: Path) -> Path:
    made = tmp_path / "root"
    (made / "tree" / "deep").mkdir(parents=True)
    (made / "a").write_text("content of a")
    (made / "b").write_text("content of b")
    (made / "tree" / "one").write_text("1")
    (made / "tree" / "deep" / "two").write_text("22")
    (made / "tree" / "link").symlink_to("/etc/passwd")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_text("secret")
    return made


@pytest.fixture
def files(engine: Engine, tmp_path: Path, root: Path) -> Bench:
    (tmp_path / "runs").mkdir()
    made = Bench(engine, tmp_path / "runs")
    made.rules = HostRules(file_roots=(root,))
    return made


def run(bench: Bench, operation: str, source: object = None, destination: object = None, **settings: Any) -> RunRecord:
    where = [None if place is None else str(place) for place in (source, destination)]
    return bench.run(of_file_operation(operation, *where, settings or None).spec)


def refused(record: RunRecord, *words: str) -> bool:
    assert record.outcome is State.FAILED, record.stdout.text
    assert record.stderr.text.count("\n") == 1
    return all(word in record.stderr.text for word in words)


def leftovers(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.name.endswith(".partial")]


def test_a_file_is_copied_with_mode_and_time(files: Bench, root: Path) -> None:
    (root / "a").chmod(0o640)
    os.utime(root / "a", (1_000_000, 1_000_000))
    record = run(files, "copy", root / "a", root / "tree" / "copy")

    assert record.outcome is State.SUCCEEDED, record.stderr.text
    copy = root / "tree" / "copy"
    assert (copy.read_text(), copy.stat().st_mode & 0o777, copy.stat().st_mtime) == ("content of a", 0o640, 1_000_000)
    assert record.usage.custom == {"file.files": 1.0, "file.bytes": 12.0}
    assert leftovers(root) == []


def test_a_folder_is_copied_whole_with_links_as_links(files: Bench, root: Path) -> None:
    assert refused(run(files, "copy", root / "tree", root / "new"), "is a folder: set recursive")
    record = run(files, "copy", root / "tree", root / "new", recursive=True)

    assert record.outcome is State.SUCCEEDED, record.stderr.text
    assert (root / "new" / "deep" / "two").read_text() == "22"
    assert os.readlink(root / "new" / "link") == "/etc/passwd"
    assert record.usage.custom == {"file.files": 3.0, "file.bytes": 3.0}


@pytest.mark.parametrize("operation", ["copy", "move"])
def test_what_is_there_is_replaced_only_when_told(files: Bench, root: Path, operation: str) -> None:
    assert refused(run(files, operation, root / "a", root / "b"), "is there already: set overwrite")
    assert (root / "b").read_text() == "content of b"
    record = run(files, operation, root / "a", root / "b", overwrite=True)

    assert record.outcome is State.SUCCEEDED, record.stderr.text
    assert (root / "b").read_text() == "content of a"
    assert (root / "a").exists() is (operation == "copy")
    assert leftovers(root) == []


def test_a_folder_takes_the_place_of_another(files: Bench, root: Path) -> None:
    (root / "old" / "stale").mkdir(parents=True)
    record = run(files, "copy", root / "tree", root / "old", recursive=True, overwrite=True)

    assert record.outcome is State.SUCCEEDED, record.stderr.text
    assert sorted(path.name for path in (root / "old").iterdir()) == ["deep", "link", "one"]
    assert leftovers(root) == []


def test_a_file_is_moved_with_a_new_mode(files: Bench, root: Path) -> None:
    assert run(files, "move", root / "a", root / "tree" / "deep" / "a", mode="0600").outcome is State.SUCCEEDED

    assert not (root / "a").exists()
    assert (root / "tree" / "deep" / "a").stat().st_mode & 0o777 == 0o600


def test_a_link_is_moved_and_not_what_it_points_to(files: Bench, root: Path) -> None:
    assert run(files, "move", root / "tree" / "link", root / "link").outcome is State.SUCCEEDED

    assert os.readlink(root / "link") == "/etc/passwd"


def test_a_file_is_moved_to_another_file_system(files: Bench, root: Path) -> None:
    other = Path("/dev/shm")
    if not other.is_dir() or other.stat().st_dev == root.stat().st_dev:
        pytest.skip("no other file system here")
    target = other / f"scriptfleet-{os.getpid()}-{files.marker}"
    files.rules = HostRules(file_roots=(root, other))
    record = run(files, "move", root / "tree", target)

    assert record.outcome is State.SUCCEEDED, record.stderr.text
    assert not (root / "tree").exists()
    assert (target / "deep" / "two").read_text() == "22"
    assert run(files, "delete", target, recursive=True).outcome is State.SUCCEEDED


def test_files_and_folders_are_deleted(files: Bench, root: Path) -> None:
    assert run(files, "delete", root / "a").outcome is State.SUCCEEDED
    assert run(files, "delete", root / "tree" / "link").outcome is State.SUCCEEDED
    assert refused(run(files, "delete", root / "tree"), "Directory not empty")
    assert run(files, "delete", root / "tree", recursive=True).outcome is State.SUCCEEDED

    assert [path.name for path in root.iterdir()] == ["b"]
    assert Path("/etc/passwd").exists()


@pytest.mark.parametrize("operation", ["copy", "move", "delete"])
def test_what_is_missing_is_a_fault_unless_told_otherwise(files: Bench, root: Path, operation: str) -> None:
    target = None if operation == "delete" else root / "new"

    assert refused(run(files, operation, root / "none", target), "does not exist: set missing_ok")
    assert run(files, operation, root / "none", target, missing_ok=True).outcome is State.SUCCEEDED


def test_a_file_is_created_with_content_mode_and_folders(files: Bench, root: Path) -> None:
    assert refused(run(files, "create", None, root / "x" / "y" / "new"), "No such file")
    record = run(files, "create", None, root / "x" / "y" / "new", recursive=True, content="grüße", mode="0604")

    assert record.outcome is State.SUCCEEDED, record.stderr.text
    made = root / "x" / "y" / "new"
    assert (made.read_text(), made.stat().st_mode & 0o777) == ("grüße", 0o604)
    assert refused(run(files, "create", None, made), "is there already")
    assert run(files, "create", None, made, overwrite=True).outcome is State.SUCCEEDED
    assert made.read_text() == ""


def test_a_path_with_a_slash_at_its_end_is_created_as_a_folder(files: Bench, root: Path) -> None:
    assert run(files, "create", None, f"{root}/x/y/", recursive=True, mode="0750").outcome is State.SUCCEEDED

    assert (root / "x" / "y").stat().st_mode & 0o777 == 0o750
    assert refused(run(files, "create", None, f"{root}/z/", content="x"), "neither content nor overwrite")


def test_a_relative_path_is_one_in_the_run_s_own_folder(files: Bench, root: Path) -> None:
    assert run(files, "copy", root / "a", "mine").outcome is State.SUCCEEDED

    assert (files.workspace.work / "mine").read_text() == "content of a"


def test_with_no_folder_allowed_only_the_run_s_own_is(files: Bench, root: Path) -> None:
    files.rules = HostRules()

    assert run(files, "create", None, "mine").outcome is State.SUCCEEDED
    assert refused(run(files, "delete", root / "a"), "path not allowed", str(files.workspace.work))


def test_a_working_folder_that_the_job_names_is_not_its_own(files: Bench, root: Path) -> None:
    files.rules = HostRules()
    spec = of_file_operation("delete", "a", working_dir=root).spec

    assert refused(files.run(spec), "path not allowed")
    assert (root / "a").exists()


@pytest.mark.parametrize("spelled", ["{out}/secret", "{root}/../outside/secret", "{root}/way/secret", "{root}", "/"])
@pytest.mark.parametrize("operation", ["copy", "move", "delete"])
def test_nothing_outside_is_touched(files: Bench, root: Path, tmp_path: Path, spelled: str, operation: str) -> None:
    (root / "way").symlink_to(tmp_path / "outside")
    source = spelled.format(out=tmp_path / "outside", root=root)
    settings = {"copy": {"recursive": True}, "move": {}, "delete": {"recursive": True}}[operation]

    record = run(files, operation, source, None if operation == "delete" else root / "new", **settings)
    assert refused(record, "path not allowed")
    assert (tmp_path / "outside" / "secret").read_text() == "secret"
    assert not (root / "new").exists()


@pytest.mark.parametrize("spelled", ["{out}/new", "{root}/way/new", "/new"])
def test_nothing_is_written_outside(files: Bench, root: Path, tmp_path: Path, spelled: str) -> None:
    (root / "way").symlink_to(tmp_path / "outside")
    place = spelled.format(out=tmp_path / "outside", root=root)

    assert refused(run(files, "copy", root / "a", place), "path not allowed")
    assert refused(run(files, "create", None, place), "path not allowed")
    assert [path.name for path in (tmp_path / "outside").iterdir()] == ["secret"]


def test_a_link_in_the_place_of_a_file_is_replaced_and_not_written_through(
    files: Bench, root: Path, tmp_path: Path
) -> None:
    (root / "link").symlink_to(tmp_path / "outside" / "secret")
    assert run(files, "copy", root / "a", root / "link", overwrite=True).outcome is State.SUCCEEDED

    assert (tmp_path / "outside" / "secret").read_text() == "secret"
    assert not (root / "link").is_symlink()


@pytest.mark.parametrize("operation", ["copy", "move"])
def test_a_folder_is_not_put_into_itself(files: Bench, root: Path, operation: str) -> None:
    settings = {"recursive": True} if operation == "copy" else {}

    assert refused(run(files, operation, root / "tree", root / "tree" / "deep" / "x", **settings), "lies in it")
    assert refused(run(files, operation, root / "tree", root / "tree", overwrite=True, **settings), "lies in it")
    assert (root / "tree" / "one").exists()


def test_what_is_neither_file_folder_nor_link_is_not_copied(files: Bench, root: Path) -> None:
    os.mkfifo(root / "tree" / "fifo")

    assert refused(run(files, "copy", root / "tree", root / "new", recursive=True), "neither file, folder nor link")
    assert not (root / "new").exists()
    assert leftovers(root) == []
