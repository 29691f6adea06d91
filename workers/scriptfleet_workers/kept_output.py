"""Files that a run left for its worker. The script could have put anything there: only plain files are read."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO


def open_plain(path: Path) -> BinaryIO:
    """Open a plain file to read it. Raises OSError for what is none: a link or a pipe leads or waits elsewhere."""
    number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if stat.S_ISREG(os.fstat(number).st_mode):
        return os.fdopen(number, "rb")
    os.close(number)
    raise OSError(f"{path} is no plain file: its script has replaced it")


class Pieces:
    """A file piece by piece; remembers how far its reader came, so that the next reading goes on from there."""

    def __init__(self, path: Path, piece_bytes: int) -> None:
        self._path, self._piece_bytes = path, piece_bytes
        #: Pieces that the reader was done with: it asked for the next one.
        self.done = 0

    def rest(self) -> Iterator[bytes]:
        """Give what was not read yet; nothing of a file that is not there. Raises OSError."""
        try:
            kept = open_plain(self._path)
        except FileNotFoundError:
            return
        with kept:
            kept.seek(self.done * self._piece_bytes)
            while piece := kept.read(self._piece_bytes):
                yield piece
                self.done += 1
