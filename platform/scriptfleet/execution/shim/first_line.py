"""When a warm script came to its first line: told through memory that its shim shares with the fork it runs in."""

from __future__ import annotations

import struct
import time
from mmap import mmap

_MOMENT = struct.Struct("d")


class FirstLine:
    """Made before the fork; noted in it, read after it. The clock is the monotonic one, which processes share."""

    def __init__(self) -> None:
        self._shared = mmap(-1, _MOMENT.size)

    def note(self) -> None:
        """Note that the script begins now."""
        _MOMENT.pack_into(self._shared, 0, time.monotonic())

    def seconds_after(self, moment: float) -> float | None:
        """Give how long after a moment the script began, or None where it never did."""
        (noted,) = _MOMENT.unpack_from(self._shared)
        return max(0.0, noted - moment) if noted else None
