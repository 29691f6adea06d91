"""Bundles: a folder as one file. Packing is reproducible; unpacking never leaves its folder."""

import io
import os
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Final

from scriptfleet.errors import InvalidValue

_LEFT_OUT: Final = frozenset(
    {"__pycache__", ".git", ".hg", ".svn", ".venv", "node_modules", ".mypy_cache", ".pytest_cache"}
)


def pack(folder: Path, limit_bytes: int) -> bytes:
    """Give a folder as a tar archive; equal folders give equal bytes.

    Links to files are followed when they stay inside. Raises InvalidValue for a folder that is too large, or holds
    something that is neither file nor folder or cannot be read.
    """
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path in _files(folder):
            entry, real = _entry(folder, path)
            # Before its bytes are in memory; the headers count too.
            if buffer.tell() + entry.size > limit_bytes:
                allowed = f"a folder of at most {limit_bytes:,} bytes (SCRIPTFLEET_BLOB_MAX_BYTES raises the limit)"
                raise InvalidValue("bundle", str(folder), allowed)
            with _readable(path), real.open("rb") as content:
                archive.addfile(entry, content)
    return buffer.getvalue()


def unpack(content: bytes, folder: Path) -> None:
    """Write an archive's files below ``folder``.

    Raises InvalidValue for what is no archive, and for an entry that would land outside or is no plain file.
    """
    try:
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as archive:
            for member in archive:
                _write(archive, member, folder)
    except (tarfile.TarError, FileExistsError, IsADirectoryError, NotADirectoryError) as fault:
        raise InvalidValue("bundle", f"{len(content):,} bytes", f"a whole archive of plain files ({fault})") from fault


def start_of(content: bytes, name: str, most_bytes: int) -> bytes | None:
    """Give the beginning of one file of an archive; None where there is no plain file of this name, or no archive."""
    try:
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as archive:
            for member in archive:
                if (found := _content(archive, member)) is None:
                    return None
                if member.name == name:
                    return found.read(most_bytes)
    except tarfile.TarError:
        return None
    return None


def _files(folder: Path) -> list[Path]:
    found: list[Path] = []
    for parent, folders, names in os.walk(folder, onerror=_refuse):
        folders[:] = sorted(name for name in folders if name not in _LEFT_OUT)
        # A link to a folder is not walked into; it goes on the list so that it is refused and not silently left out.
        found += [path for name in folders if (path := Path(parent, name)).is_symlink()]
        found += [Path(parent, name) for name in names if not name.endswith(".pyc")]
    return sorted(found)


def _refuse(fault: OSError) -> None:
    raise InvalidValue("bundle", fault.filename, f"files and folders that can be read ({fault.strerror})") from fault


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as fault:
        # A file that shrinks while it is read has no strerror.
        reason = fault.strerror or fault
        raise InvalidValue("bundle", str(path), f"files that can be read as they are ({reason})") from fault


def _entry(folder: Path, path: Path) -> tuple[tarfile.TarInfo, Path]:
    entry = tarfile.TarInfo(path.relative_to(folder).as_posix())
    with _readable(path):
        real = Path(os.path.realpath(path))
        if not real.is_file() or not real.is_relative_to(folder.resolve()):
            raise InvalidValue("bundle", str(path), "files, or links to files, inside the folder")
        entry.size = real.stat().st_size
    entry.mode = 0o755 if os.access(real, os.X_OK) else 0o644
    return entry, real


def _write(archive: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> None:
    # Elsewhere a backslash parts names too.
    path = PurePosixPath(member.name.replace("\\", "/"))
    content = _content(archive, member)
    if content is None or not path.parts or path.is_absolute() or ".." in path.parts:
        raise InvalidValue("bundle entry", member.name, "a plain file inside the bundle")
    target = folder / member.name
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content.read())
    target.chmod(0o755 if member.mode & 0o100 else 0o644)


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes] | None:
    # A sparse file of a few bytes may unpack to any size; of a size below zero the next entry is this one again,
    # without end, in Pythons that do not know better.
    is_plain = member.isreg() and not member.issparse() and member.size >= 0
    return archive.extractfile(member) if is_plain else None
