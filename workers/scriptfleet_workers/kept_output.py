"""What a run wrote, piece by piece, as its worker sends it."""

from collections.abc import Iterator
from pathlib import Path

from scriptfleet.execution.plain_file import open_plain


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
