"""A folder travels whole and reproducibly, and never lands outside its new place."""

import io
import os
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from scriptfleet.errors import InvalidValue
from scriptfleet.queues.bundle import pack, unpack

MIB = 1024 * 1024


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "project"
    (made / "inner" / "deep").mkdir(parents=True)
    (made / "main.py").write_text("print('hällo')\n")
    (made / "inner" / "deep" / "data.bin").write_bytes(bytes(range(256)))
    (made / "run me.sh").write_text("#!/bin/sh\n")
    (made / "run me.sh").chmod(0o755)
    return made


def archive_of(*entries: tuple[tarfile.TarInfo, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for entry, content in entries:
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def declared(size: int) -> bytes:
    """Give an archive whose one entry says that it has another size than it has."""
    header = entry("huge")
    header.size = size
    return header.tobuf(tarfile.GNU_FORMAT) + b"x" * 2_048


def entry(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname = kind, target
    return made


def test_a_folder_comes_out_as_it_went_in(folder: Path, tmp_path: Path) -> None:
    unpack(pack(folder, MIB), tmp_path / "out")

    found = {path.relative_to(tmp_path / "out"): path.read_bytes() for path in (tmp_path / "out").rglob("*.*")}
    assert found == {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.*")}


def test_the_executable_bit_travels_and_no_other(folder: Path, tmp_path: Path) -> None:
    (folder / "main.py").chmod(0o666)
    unpack(pack(folder, MIB), tmp_path / "out")

    assert os.access(tmp_path / "out" / "run me.sh", os.X_OK)
    assert (tmp_path / "out" / "main.py").stat().st_mode & 0o777 == 0o644


def test_equal_folders_give_equal_bytes(folder: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    unpack(pack(folder, MIB), again)
    os.utime(again / "main.py", (1, 1))

    assert pack(again, MIB) == pack(folder, MIB)


def test_what_tools_leave_behind_does_not_travel(folder: Path, tmp_path: Path) -> None:
    before = pack(folder, MIB)
    for name in ("__pycache__", ".git", "node_modules"):
        (folder / name).mkdir()
        (folder / name / "x").write_text("x")
    (folder / "main.pyc").write_text("x")

    assert pack(folder, MIB) == before


def test_a_link_inside_travels_as_the_file_it_names(folder: Path, tmp_path: Path) -> None:
    (folder / "link.py").symlink_to("main.py")
    unpack(pack(folder, MIB), tmp_path / "out")

    assert (tmp_path / "out" / "link.py").read_text() == (folder / "main.py").read_text()
    assert not (tmp_path / "out" / "link.py").is_symlink()


def link_out(folder: Path) -> None:
    (folder / "leak").symlink_to("/etc/passwd")


def dangling_link(folder: Path) -> None:
    (folder / "leak").symlink_to("nothing")


def linked_folder(folder: Path) -> None:
    (folder / "leak").symlink_to("/etc")


def fifo(folder: Path) -> None:
    os.mkfifo(folder / "leak")


@pytest.mark.parametrize("spoil", [link_out, dangling_link, linked_folder, fifo])
def test_what_is_no_file_of_the_folder_is_refused_by_name(folder: Path, spoil: Callable[[Path], None]) -> None:
    spoil(folder)

    with pytest.raises(InvalidValue, match="leak"):
        pack(folder, MIB)


def test_links_in_a_circle_are_refused_by_name(folder: Path) -> None:
    (folder / "round").symlink_to("round")

    with pytest.raises(InvalidValue, match="round"):
        pack(folder, MIB)


@pytest.fixture
def as_a_plain_user() -> Iterator[None]:
    """A superuser may read everything."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.usefixtures("as_a_plain_user")
@pytest.mark.parametrize("locked", ["secret.py", "inner"])
def test_what_cannot_be_read_is_refused_by_name(locked: str) -> None:
    # Not under tmp_path, which belongs to who runs the tests.
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "inner").mkdir()
        (folder / "secret.py").write_text("x")
        (folder / locked).chmod(0)
        try:
            with pytest.raises(InvalidValue, match=f"{locked}.*Permission denied"):
                pack(folder, MIB)
        finally:
            (folder / locked).chmod(0o700)


def test_a_file_over_the_limit_is_refused_before_its_bytes_are_read(folder: Path) -> None:
    with (folder / "large").open("wb") as sparse:
        sparse.truncate(1 << 40)

    with pytest.raises(InvalidValue, match="10,000"):
        pack(folder, 10_000)


def test_a_folder_over_the_limit_is_refused_with_the_limit(folder: Path) -> None:
    (folder / "large").write_bytes(b"x" * 20_000)

    with pytest.raises(InvalidValue, match="10,000"):
        pack(folder, 10_000)


@pytest.mark.parametrize(
    "bad",
    [
        entry("../outside"),
        entry("a/../../outside"),
        entry("/tmp/outside"),
        entry("link", tarfile.SYMTYPE, "/etc"),
        entry("link", tarfile.LNKTYPE, "main.py"),
        entry("device", tarfile.CHRTYPE),
        entry("pipe", tarfile.FIFOTYPE),
        entry("folder", tarfile.DIRTYPE),
        entry("disk", tarfile.BLKTYPE),
        entry("link", tarfile.LNKTYPE, "/etc/passwd"),
        entry("..\\outside"),
        entry("a\\..\\..\\outside"),
        entry("\\\\server\\share\\outside"),
        # Longer than the field of a name: it comes in a header of its own.
        entry("../" * 60 + "outside"),
        entry("sparse", tarfile.GNUTYPE_SPARSE),
    ],
    ids=lambda bad: f"{bad.name}-{bad.type!r}",
)
def test_an_entry_that_is_no_plain_file_inside_is_refused_by_name(tmp_path: Path, bad: tarfile.TarInfo) -> None:
    with pytest.raises(InvalidValue, match="bundle entry") as caught:
        unpack(archive_of((bad, b"")), tmp_path / "out")

    assert repr(bad.name)[:100] in str(caught.value)
    assert not (tmp_path / "outside").exists()


@pytest.mark.parametrize(
    "content",
    [
        b"no archive at all" * 100,
        archive_of((entry("a"), b"x" * 5_000))[:1_500],
        archive_of((entry("a"), b"1"), (entry("a/b"), b"2")),
        archive_of((entry("."), b"1")),
        declared(1 << 40),
    ],
    ids=["not-tar", "cut-short", "file-as-folder", "the-folder-itself", "a-terabyte-declared"],
)
def test_an_archive_that_cannot_be_unpacked_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(InvalidValue, match="bundle"):
        unpack(content, tmp_path / "out")


def test_an_entry_of_less_than_no_bytes_has_an_end_and_writes_nothing(tmp_path: Path) -> None:
    # Which of both depends on the Python.
    with suppress(InvalidValue):
        unpack(declared(-512), tmp_path / "out")

    assert not (tmp_path / "out").exists()
