"""A small file of the kernel that is read again and again: opened once, since finding it costs more than reading."""

import os
from typing import Final

_LONGEST: Final = 1024


class KeptFile:
    """May be read by several threads at once; is to be closed when none reads it any more."""

    def __init__(self, path: str) -> None:
        try:
            self._fd: int | None = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            # Not there, as on older kernels, or not for us: it reads as empty.
            self._fd = None

    def read(self) -> bytes:
        """Give its first kilobyte; empty when it is not there."""
        try:
            return b"" if self._fd is None else os.pread(self._fd, _LONGEST, 0)
        except OSError:
            # What it tells of is gone.
            return b""

    def number(self) -> int | None:
        """Give it as the one number it holds."""
        content = self.read()
        return int(content) if content else None

    def close(self) -> None:
        """Close the descriptor."""
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)
