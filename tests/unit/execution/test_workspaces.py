"""Workspaces are used again only when a run left nothing in them."""

from pathlib import Path

import pytest

from scriptfleet.execution.workspace import Workspaces


@pytest.fixture
def workspaces(tmp_path: Path) -> Workspaces:
    return Workspaces(tmp_path)


def test_a_workspace_that_was_left_as_it_was_serves_the_next_run(workspaces: Workspaces, tmp_path: Path) -> None:
    first = workspaces.take("run-1")
    first.make()
    first.stdout.write_bytes(b"output")
    inode = first.work.stat().st_ino
    workspaces.give_back(first)

    second = workspaces.take("run-2")
    second.make()

    assert second.work.stat().st_ino == inode
    assert list(tmp_path.iterdir()) == [second.folder]
    assert [path.name for path in second.folder.iterdir()] == ["work"]


def test_a_run_has_nothing_of_what_the_one_before_it_reported(workspaces: Workspaces) -> None:
    first = workspaces.take("run-1")
    first.make()
    first.reports.path.write_text('{"progress": {"fraction": 0.5}}\n')
    assert first.reports.look() is not None
    first.reports.path.unlink()
    workspaces.give_back(first)

    second = workspaces.take("run-2")
    second.make()

    assert second.folder == first.folder
    assert second.reports.look() is None


def test_what_is_left_of_a_run_cannot_report_for_the_next_in_its_folders(workspaces: Workspaces) -> None:
    paths = []
    for number in range(3):
        workspace = workspaces.take(f"run-{number}")
        workspace.make()
        paths.append(workspace.reports.path)
        workspaces.give_back(workspace)

    last = workspaces.take("run-3")
    last.make()
    for path in paths:
        path.write_text('{"progress": {"fraction": 0.5}}\n')

    assert len({path.parent for path in paths} | {last.folder}) == 1
    assert len({*paths, last.reports.path}) == 4
    assert last.reports.look() is None


@pytest.mark.parametrize("left", ["work/file", "work/.hidden", "report.jsonl", "other"])
def test_a_workspace_in_which_a_run_left_something_is_deleted(
    workspaces: Workspaces, tmp_path: Path, left: str
) -> None:
    first = workspaces.take("run-1")
    first.make()
    (first.folder / left).write_text("mine")
    workspaces.give_back(first)

    assert list(tmp_path.iterdir()) == []


def test_a_workspace_that_others_may_enter_is_deleted(workspaces: Workspaces, tmp_path: Path) -> None:
    first = workspaces.take("run-1")
    first.make()
    first.work.chmod(0o755)
    workspaces.give_back(first)

    assert list(tmp_path.iterdir()) == []


def test_a_working_folder_that_was_replaced_by_a_link_is_deleted(workspaces: Workspaces, tmp_path: Path) -> None:
    first = workspaces.take("run-1")
    first.make()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    first.work.rmdir()
    first.work.symlink_to(elsewhere)
    workspaces.give_back(first)

    assert list(tmp_path.iterdir()) == [elsewhere]


def test_a_spare_workspace_that_somebody_deleted_is_made_anew(workspaces: Workspaces) -> None:
    first = workspaces.take("run-1")
    first.make()
    workspaces.give_back(first)
    first.remove()

    second = workspaces.take("run-2")
    second.make()

    assert second.work.is_dir()
