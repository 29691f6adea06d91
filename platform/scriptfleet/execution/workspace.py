"""The folder of one run, and the cache of scripts that folders are filled from."""

import hashlib
import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

from scriptfleet.domain.kinds import Source
from scriptfleet.errors import BlobMissing
from scriptfleet.execution.reports import Reports

_MOST_CACHED_BYTES: Final = 1024**3

#: Folder of a run's artifacts, by SHA-256.
ARTIFACTS: Final = "artifacts"

Fetch = Callable[[str, int], bytes]
Unpack = Callable[[bytes, Path], None]


class Workspace:
    """Folders of one run: ``work`` holds the script and is its working folder; output lies beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.work = folder / "work"
        self.stdout, self.stderr = folder / "stdout", folder / "stderr"
        #: What the script says back, and the files it asked to keep, each under its SHA-256.
        self.reports, self.artifacts = Reports(folder / "report.jsonl"), folder / ARTIFACTS

    def make(self) -> None:
        """Create the folders, for this user alone."""
        self.work.mkdir(mode=0o700, parents=True)

    def remove(self) -> None:
        """Delete all of it; what cannot be deleted is left for the clean-up at the next start."""
        shutil.rmtree(self.folder, ignore_errors=True)


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


def remove_leftovers(folder: Path) -> None:
    """Delete folders of runs that a killed process of ours left behind."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)


def _is_whole(content: bytes, source: Source) -> bool:
    return len(content) == source.size_bytes and hashlib.sha256(content).hexdigest() == source.sha256
