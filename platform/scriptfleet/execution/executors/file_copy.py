"""Copies of files and folders, made beside their place under a name of their own. Links are copied as links."""

import os
import shutil
import stat
import uuid
from dataclasses import dataclass
from typing import Final

from scriptfleet.errors import ScriptfleetError
from scriptfleet.execution.confined import Spot

_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class NotCopied(ScriptfleetError):
    """Something that is neither file, folder nor link."""


@dataclass(frozen=True, slots=True)
class Copied:
    """What an operation amounted to."""

    files: int
    size_bytes: int

    def __add__(self, other: "Copied") -> "Copied":
        return Copied(self.files + other.files, self.size_bytes + other.size_bytes)


def copy_beside(source: Spot, target: Spot) -> tuple[str, Copied]:
    """Copy what lies at ``source`` into the folder of ``target`` under a fresh name; give the name.

    Raises OSError, NotCopied; nothing is left behind then.
    """
    fresh = fresh_name(target.name)
    try:
        done = _copy(source.folder_fd, source.name, target.folder_fd, fresh)
    except BaseException:
        discard(fresh, target.folder_fd)
        raise
    return fresh, done


def write_beside(target: Spot, content: bytes, mode: int) -> str:
    """Write a file into the folder of ``target`` under a fresh name; give the name."""
    fresh = fresh_name(target.name)
    with open(os.open(fresh, _NEW, 0o600, dir_fd=target.folder_fd), "wb") as out:
        out.write(content)
        os.fchmod(out.fileno(), mode)
    return fresh


def discard(name: str, folder_fd: int) -> None:
    """Delete whatever lies under a name, if anything does."""
    try:
        os.unlink(name, dir_fd=folder_fd)
    except FileNotFoundError:
        return
    except (IsADirectoryError, PermissionError):
        shutil.rmtree(name, dir_fd=folder_fd)


def fresh_name(name: str) -> str:
    """Give a hidden name that nothing has, for what is not yet in its place."""
    return f".{name[:100]}.{uuid.uuid4().hex}.partial"


def _copy(from_fd: int, name: str, to_fd: int, new_name: str) -> Copied:
    found = os.stat(name, dir_fd=from_fd, follow_symlinks=False)
    if stat.S_ISLNK(found.st_mode):
        os.symlink(os.readlink(name, dir_fd=from_fd), new_name, dir_fd=to_fd)
        return Copied(1, 0)
    if stat.S_ISDIR(found.st_mode):
        return _copy_folder(from_fd, name, to_fd, new_name, found)
    if not stat.S_ISREG(found.st_mode):
        raise NotCopied(f"{name} is neither file, folder nor link: leave it out")
    return _copy_file(from_fd, name, to_fd, new_name)


def _copy_file(from_fd: int, name: str, to_fd: int, new_name: str) -> Copied:
    with (
        open(os.open(name, _READ, dir_fd=from_fd), "rb") as source,
        open(os.open(new_name, _NEW, 0o600, dir_fd=to_fd), "wb") as target,
    ):
        found = os.fstat(source.fileno())
        shutil.copyfileobj(source, target, 1024 * 1024)
        target.flush()
        os.fchmod(target.fileno(), stat.S_IMODE(found.st_mode) & 0o777)
        os.utime(target.fileno(), ns=(found.st_atime_ns, found.st_mtime_ns))
        return Copied(1, target.tell())


def _copy_folder(from_fd: int, name: str, to_fd: int, new_name: str, found: os.stat_result) -> Copied:
    os.mkdir(new_name, 0o700, dir_fd=to_fd)
    inner_from, inner_to = os.open(name, _FOLDER, dir_fd=from_fd), os.open(new_name, _FOLDER, dir_fd=to_fd)
    try:
        done = Copied(0, 0)
        for inner in sorted(os.listdir(inner_from)):
            done += _copy(inner_from, inner, inner_to, inner)
        os.fchmod(inner_to, stat.S_IMODE(found.st_mode) & 0o777)
    finally:
        os.close(inner_from)
        os.close(inner_to)
    return done
