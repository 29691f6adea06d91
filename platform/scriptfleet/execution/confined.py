"""Paths that must stay inside given folders, however they are spelled and whatever links lie in them.

A path is resolved first; then each folder on the way to it is opened from the root without following links, so that
what somebody swaps in the meantime is an error and not a way out.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from scriptfleet.errors import ScriptfleetError

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class OutsideRoots(ScriptfleetError):
    """A path that leads out of the folders it must stay in."""

    def __init__(self, path: str, roots: Sequence[Path]) -> None:
        self.path = path
        allowed = ", ".join(str(root) for root in roots) or "none"
        super().__init__(f"path not allowed: {path}: it must lie in one of these folders: {allowed}")


@dataclass(frozen=True, slots=True)
class Spot:
    """One name in an open folder; it may or may not exist."""

    folder_fd: int
    name: str
    #: The whole path, for messages.
    path: str

    def status(self) -> os.stat_result | None:
        """Give what is there, links not followed; None when nothing is."""
        try:
            return os.stat(self.name, dir_fd=self.folder_fd, follow_symlinks=False)
        except FileNotFoundError:
            return None


@dataclass(frozen=True, slots=True)
class Confined:
    """Opens paths inside its roots alone."""

    roots: tuple[Path, ...]

    @contextmanager
    def spot(self, path: str, make_folders: bool = False) -> Iterator[Spot]:
        """Open the folder of a path, for what is done to the path's last part; a link there is not followed.

        Raises OutsideRoots, and OSError when a folder on the way is missing.
        """
        parent, name = os.path.split(os.path.abspath(path))
        real = os.path.join(os.path.realpath(parent), name)
        root, parts = self._inside(path, real)
        folder_fd = _walk(root, parts[:-1], make_folders)
        try:
            yield Spot(folder_fd, parts[-1], real)
        finally:
            os.close(folder_fd)

    def _inside(self, path: str, real: str) -> tuple[str, tuple[str, ...]]:
        for root in self.roots:
            real_root = os.path.realpath(root)
            inside = os.path.relpath(real, real_root)
            # The root itself is not inside: nothing may be done to it.
            if inside not in {".", ".."} and not inside.startswith("../"):
                return real_root, Path(inside).parts
        raise OutsideRoots(path, self.roots)


def _walk(root: str, parts: Sequence[str], make_folders: bool) -> int:
    """Open a folder below ``root``, part by part."""
    fd = os.open(root, _FOLDER)
    for part in parts:
        try:
            if make_folders:
                _make(fd, part)
            inner = os.open(part, _FOLDER, dir_fd=fd)
        finally:
            os.close(fd)
        fd = inner
    return fd


def _make(folder_fd: int, name: str) -> None:
    try:
        os.mkdir(name, dir_fd=folder_fd)
    except FileExistsError:
        return
