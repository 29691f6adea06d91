"""Bundles: a folder as one file. Packing is reproducible; unpacking never leaves its folder."""

import io
import os
import tarfile
from pathlib import Path, PurePosixPath
from typing import Final

from scriptfleet.errors import InvalidValue

_LEFT_OUT: Final = frozenset(
    {"__pycache__", ".git", ".hg", ".svn", ".venv", "node_modules", ".mypy_cache", ".pytest_cache"}
)


def pack(folder: Path, limit_bytes: int) -> bytes:
    """Give a folder as a tar archive; equal folders give equal bytes.

    Links are followed only when they stay inside. Raises InvalidValue for a folder that is too large or holds
    something that is neither file nor folder.
    """
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path in _files(folder):
            _add(archive, folder, path)
            if buffer.tell() > limit_bytes:
                allowed = f"a folder of at most {limit_bytes:,} bytes (SCRIPTFLEET_BLOB_MAX_BYTES raises the limit)"
                raise InvalidValue("bundle", str(folder), allowed)
    return buffer.getvalue()


def unpack(content: bytes, folder: Path) -> None:
    """Write an archive's files below ``folder``; an entry that would land outside, or is no file, is refused."""
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as archive:
        for member in archive:
            _write(archive, member, folder)


def _files(folder: Path) -> list[Path]:
    found: list[Path] = []
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in _LEFT_OUT)
        found += [Path(parent, name) for name in names if not name.endswith(".pyc")]
    return sorted(found)


def _add(archive: tarfile.TarFile, folder: Path, path: Path) -> None:
    real = path.resolve()
    if not real.is_file() or not real.is_relative_to(folder.resolve()):
        raise InvalidValue("bundle", str(path), "files, or links to files, inside the folder")
    entry = tarfile.TarInfo(path.relative_to(folder).as_posix())
    entry.size = real.stat().st_size
    entry.mode = 0o755 if os.access(real, os.X_OK) else 0o644
    with real.open("rb") as content:
        archive.addfile(entry, content)


def _write(archive: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> None:
    path = PurePosixPath(member.name)
    content = archive.extractfile(member) if member.isreg() else None
    if content is None or path.is_absolute() or ".." in path.parts:
        raise InvalidValue("bundle entry", member.name, "a plain file inside the bundle")
    target = folder.joinpath(*path.parts)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content.read())
    target.chmod(0o755 if member.mode & 0o100 else 0o644)
