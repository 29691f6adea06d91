"""Folders for one use are for this user alone, and go with all that is in them."""

import os
import stat
from pathlib import Path

import pytest

from scriptfleet.execution.own_folder import own_folder


def test_a_folder_is_ours_alone_and_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with own_folder("of-a-test-") as first, own_folder("of-a-test-") as second:
        assert first.parent == second.parent == tmp_path
        assert first.name.startswith("of-a-test-")
        assert first != second
        assert stat.S_IMODE(first.stat().st_mode) == stat.S_IRWXU

    assert list(tmp_path.iterdir()) == []


def test_what_a_script_left_in_it_goes_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    (tmp_path / "kept").write_text("kept")
    with own_folder("of-a-test-") as folder:
        inner = folder / "a" / "b"
        inner.mkdir(parents=True)
        (inner / "file").write_text("left")
        (inner / "link").symlink_to(tmp_path / "kept")
        for path in (inner, inner.parent):
            path.chmod(0o500)

    assert os.listdir(tmp_path / "temporary") == []
    assert (tmp_path / "kept").read_text() == "kept"


def test_a_place_that_cannot_be_used_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path / "missing"))
    monkeypatch.setenv("TEMP", str(tmp_path))
    with own_folder("of-a-test-") as folder:
        assert folder.parent == tmp_path
