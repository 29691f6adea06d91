"""A launcher of many shims: what they all use is loaded so that it lies together in memory.

Calling a function counts a reference to it, which is a write: a page with one thing on it that is used is copied by
each shim. Python puts new objects into gaps that what it loaded before has left, among things that no shim uses; with
these gaps filled, the shim's own code has pages to itself. That saves 0.1 MiB a shim.
"""

from __future__ import annotations

# Loaded before, so that what of it is not used stays apart.
import _socket  # noqa: F401
import ctypes  # noqa: F401
import os  # noqa: F401
import resource  # noqa: F401
import select  # noqa: F401
import stat  # noqa: F401
import time  # noqa: F401

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

#: Of CPython's allocator (Objects/obmalloc.c, 3.10 and later): objects of one size, up to 512 bytes, share a pool.
_POOL_BYTES, _POOL_HEAD_BYTES = 16_384, 48
_SIZES = range(48, 513, 16)
_BYTES_HEAD = 33
#: What fills the gaps. It must stay: freed, it would leave them again.
_FILLING: list[bytes] = []


def main(line_fd: int) -> NoReturn:
    """Serve as launcher.main() does."""
    _fill_gaps()
    # What is to come after; the first is loaded for all shims, of which any may have to set a run apart.
    from scriptfleet.execution.shim import isolate, launcher  # noqa: F401, PLC0415

    launcher.main(line_fd, "many")


def _fill_gaps() -> None:
    for size in _SIZES:
        for _ in range(_POOL_BYTES // size):
            block = bytes(size - _BYTES_HEAD)
            _FILLING.append(block)
            # The first of a fresh pool: with another allocator this is never so, and little is lost.
            if id(block) % _POOL_BYTES == _POOL_HEAD_BYTES:
                break
