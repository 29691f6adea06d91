"""Messages between worker and shim: a length, then ``marshal``. Both ends are one interpreter and trust each other."""

from __future__ import annotations

import marshal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_HEADER = 4
_LARGEST = 64 * 1024 * 1024


def pack(message: dict[str, Any]) -> bytes:
    """Give the bytes of a message."""
    body = marshal.dumps(message)
    return len(body).to_bytes(_HEADER, "big") + body


class Inbox:
    """Puts messages together from what arrives."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def feed(self, arrived: bytes) -> list[dict[str, Any]]:
        """Add bytes; give the messages that are whole now."""
        self._bytes += arrived
        messages = []
        while (end := self._whole()) is not None:
            messages.append(marshal.loads(self._bytes[_HEADER:end]))  # noqa: S302
            del self._bytes[:end]
        return messages

    def _whole(self) -> int | None:
        if len(self._bytes) < _HEADER:
            return None
        end = _HEADER + int.from_bytes(self._bytes[:_HEADER], "big")
        if end > _LARGEST:
            raise ValueError(f"message of {end} bytes")
        return end if len(self._bytes) >= end else None
