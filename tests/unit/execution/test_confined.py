"""Paths stay inside their folders, however they are spelled."""

import os
from pathlib import Path

import pytest

from scriptfleet.execution.artifacts import take
from scriptfleet.execution.confined import Confined, OutsideRoots


@pytest.fixture
def root(tmp_path: Path) -> Path:
    made = tmp_path / "root"
    (made / "inner").mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_text("secret")
    (tmp_path / "rootless").mkdir()
    return made


def spot_path(root: Path, path: str) -> str:
    with Confined((root,)).spot(path) as spot:
        return spot.path


@pytest.mark.parametrize("spelled", ["a", "inner/a", "inner/../a", "./inner//a", "inner/./../inner/a"])
def test_a_path_inside_is_opened(root: Path, spelled: str) -> None:
    assert spot_path(root, f"{root}/{spelled}").startswith(f"{root}/")


@pytest.mark.parametrize("spelled", ["", ".", "..", "../outside/secret", "inner/../../outside/secret", "../rootless/a"])
def test_a_path_that_leads_out_is_refused(root: Path, spelled: str) -> None:
    with pytest.raises(OutsideRoots, match="must lie in one of these folders"):
        spot_path(root, f"{root}/{spelled}")


def test_a_link_to_a_folder_outside_is_refused(root: Path) -> None:
    (root / "way").symlink_to(root.parent / "outside")

    with pytest.raises(OutsideRoots):
        spot_path(root, f"{root}/way/secret")


def test_a_link_to_a_folder_inside_is_resolved(root: Path) -> None:
    (root / "way").symlink_to("inner")

    assert spot_path(root, f"{root}/way/a") == f"{root}/inner/a"


def test_a_root_that_is_a_link_itself_is_resolved(root: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(root)

    assert spot_path(tmp_path / "link", f"{tmp_path}/link/inner/a") == f"{root}/inner/a"


def test_the_last_part_is_looked_at_and_not_followed(root: Path) -> None:
    (root / "link").symlink_to("/etc/passwd")

    with Confined((root,)).spot(f"{root}/link") as spot:
        found = spot.status()
    assert found is not None
    assert found.st_size == len("/etc/passwd")


def test_no_descriptor_stays_open(root: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for spelled in ("inner/a", "../x", "no/such/folder/x"):
        try:
            spot_path(root, f"{root}/{spelled}")
        except (OutsideRoots, FileNotFoundError):
            continue
    assert len(os.listdir("/proc/self/fd")) == before


def test_artifacts_are_taken_whole_or_left_out_with_the_reason(root: Path, tmp_path: Path) -> None:
    (root / "small").write_bytes(b"abc")
    (root / "large").write_bytes(b"x" * 101)
    (root / "link").symlink_to(tmp_path / "outside" / "secret")
    os.mkfifo(root / "fifo")
    named = {name: f"{root}/{name}" for name in ("small", "large", "link", "fifo", "inner", "missing")}

    taken = take(named, [root], tmp_path / "kept", 100)

    assert [(one.name, one.size_bytes) for one in taken.artifacts] == [("small", 3)]
    assert (tmp_path / "kept" / taken.artifacts[0].sha256).read_bytes() == b"abc"
    assert len(list((tmp_path / "kept").iterdir())) == 1
    reasons = dict(fault.removeprefix("artifact ").split(": ", 1) for fault in taken.faults)
    assert reasons.keys() == {"large", "link", "fifo", "inner", "missing"}
    assert "100" in reasons["large"]
    assert "not allowed" in reasons["link"]
    assert "no plain file" in reasons["fifo"]


def test_the_artifacts_of_a_run_are_bounded_together(root: Path, tmp_path: Path) -> None:
    for number in range(6):
        (root / f"f{number}").write_bytes(b"x" * 10 * 1024 * 1024)

    taken = take({f"f{n}": f"{root}/f{n}" for n in range(6)}, [root], tmp_path / "kept", 10 * 1024 * 1024)

    assert (len(taken.artifacts), len(taken.faults)) == (5, 1)
