"""The folder of one run, and the cache of scripts that folders are filled from."""

import os
import stat
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Final

from scriptfleet.domain.digest import sha256_of
from scriptfleet.domain.kinds import Source
from scriptfleet.errors import BlobMissing
from scriptfleet.execution.reports import Reports

_MOST_CACHED_BYTES: Final = 1024**3

#: Folder of a run's artifacts, by SHA-256.
ARTIFACTS: Final = "artifacts"

_WORK: Final = "work"
_OUTPUT: Final = ("stdout", "stderr")
_OURS_ALONE: Final = stat.S_IFDIR | 0o700

Fetch = Callable[[str, int], bytes]
Unpack = Callable[[bytes, Path], None]


class Workspace:
    """Folders of one run: ``work`` holds the script and is its working folder; output lies beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.work = folder / _WORK
        self.stdout, self.stderr = (folder / name for name in _OUTPUT)
        #: What the script says back, and the files it asked to keep, each under its SHA-256.
        self.reports, self.artifacts = Reports(folder / "report.jsonl"), folder / ARTIFACTS
        #: How many runs it has served before this one.
        self._served = 0
        self._is_made = False

    def make(self) -> None:
        """Create the folders, for this user alone, unless an earlier run has left them untouched."""
        if not self._is_made:
            self.work.mkdir(mode=0o700, parents=True)
            self._is_made = True

    def clear(self) -> bool:
        """Make ready for another run; give False where this one has left something, or somebody has deleted it."""
        if not self._is_made or not _is_untouched(self):
            return False
        self._served += 1
        # A name of its own: by it a run's processes are known, and what is left of an earlier run writes elsewhere.
        self.reports = Reports(self.folder / f"report-{self._served}.jsonl")
        return True

    def remove(self) -> None:
        """Delete all of it; what cannot be deleted is left for the clean-up at the next start."""
        try:
            for path in (self.stdout, self.stderr, self.reports.path):
                path.unlink(missing_ok=True)
            self.work.rmdir()
            self.folder.rmdir()
        except OSError:
            # A run has left more, or something else under a name of ours.
            _remove_tree(self.folder)


class Workspaces:
    """Workspaces below one folder, which are used again, under their first run's id, when a run left them as they were.

    To make folders and delete them costs the file system more than it takes to start a short script.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._spare: deque[Workspace] = deque()

    def take(self, run_id: str) -> Workspace:
        """Give the workspace of a run."""
        try:
            spare = self._spare.pop()
        except IndexError:
            return Workspace(self._folder / run_id)
        # Somebody may have deleted it meanwhile.
        return spare if os.path.isdir(spare.work) else Workspace(self._folder / run_id)

    def give_back(self, workspace: Workspace) -> None:
        """Take back the workspace of a run that is over and reported."""
        if workspace.clear():
            self._spare.append(workspace)
        else:
            workspace.remove()


def _is_untouched(workspace: Workspace) -> bool:
    """Tell whether nothing is there but an empty working folder that is ours alone, once the output is deleted."""
    try:
        for name in os.listdir(workspace.folder):
            if name in _OUTPUT:
                os.unlink(workspace.folder / name)
            elif name != _WORK:
                return False
        found = os.lstat(workspace.work)
        is_ours = found.st_mode == _OURS_ALONE and found.st_uid == os.geteuid()
        return is_ours and not os.listdir(workspace.work) and not _marks_of(workspace.work)
    except OSError:
        return False


class SourceCache:
    """Scripts' bytes on this machine, by their SHA-256; fetched once, verified whenever they are read."""

    def __init__(self, folder: Path, fetch: Fetch, unpack: Unpack) -> None:
        self._folder, self._fetch, self._unpack = folder, fetch, unpack
        self._guard = threading.Lock()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def fill(self, source: Source, entry: str, work: Path) -> None:
        """Write a source into a work folder: the bundle's files, or the one file as ``entry``.

        Raises BlobMissing when the bytes are nowhere to be had, InvalidValue for a bundle that would leave its folder.
        """
        content = self._content(source)
        if source.form == "bundle":
            self._unpack(content, work)
            return
        target = work / entry
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        target.chmod(0o700)

    def prune(self, most_bytes: int = _MOST_CACHED_BYTES) -> int:
        """Delete the longest unused until the rest fits; give how many went."""
        with self._guard:
            files = sorted(self._folder.iterdir(), key=lambda path: path.stat().st_atime, reverse=True)
            total = gone = 0
            for path in files:
                total += path.stat().st_size
                if total > most_bytes:
                    path.unlink(missing_ok=True)
                    gone += 1
        return gone

    def _content(self, source: Source) -> bytes:
        path = self._folder / source.sha256
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return self._fetched(source, path)
        # A cache that was tampered with, or cut short by a full disk, is fetched anew.
        return content if _is_whole(content, source) else self._fetched(source, path)

    def _fetched(self, source: Source, path: Path) -> bytes:
        content = self._fetch(source.sha256, source.size_bytes)
        if not _is_whole(content, source):
            raise BlobMissing(source.sha256, "not the bytes that were sent")
        fresh = path.with_name(f"{path.name}.{os.getpid()}.{threading.get_ident()}")
        fresh.write_bytes(content)
        fresh.replace(path)
        return content


def _marks_of(path: Path) -> list[str]:
    """Give the extended attributes of a file, among which are access lists; where there are none, nothing."""
    return os.listxattr(path) if hasattr(os, "listxattr") else []


def remove_leftovers(folder: Path) -> None:
    """Delete folders of runs that a killed process of ours left behind."""
    _remove_tree(folder)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)


def _remove_tree(folder: Path) -> None:
    # Loads archives' libraries, which short runs do without.
    import shutil  # noqa: PLC0415

    shutil.rmtree(folder, ignore_errors=True)


def _is_whole(content: bytes, source: Source) -> bool:
    return len(content) == source.size_bytes and sha256_of(content) == source.sha256
