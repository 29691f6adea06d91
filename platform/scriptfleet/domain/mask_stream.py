"""Hides secrets in a stream of bytes, also those that arrive in parts. The shim uses it: it imports next to nothing.

Line breaks inside a secret do not save it: base64 is usually printed in lines of 76 characters.
"""

from __future__ import annotations

from _bisect import bisect_right

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MASK = b"***"

_BREAKS = b"\r\n"
_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_="
#: A line that ends in so many characters of base64 may go on in the next line.
_FOLDED = 16


class MaskStream:
    """Replaces every occurrence of every pattern; overlapping ones become one mask."""

    def __init__(self, patterns: Sequence[bytes]) -> None:
        self._with_breaks = [one for one in patterns if one.translate(None, _BREAKS) != one]
        self._without = [one for one in patterns if one.translate(None, _BREAKS) == one and one]
        #: What may be the beginning of a pattern; its first bytes may belong to a mask that was given already.
        self._held = b""
        self._masked = 0
        #: The last bytes before ``_held``.
        self._before = b""

    def feed(self, chunk: bytes, is_last: bool = False) -> bytes:
        """Take the next bytes of the stream; give those that can be shown by now, with masks in them."""
        text = self._held + chunk
        joined = _Joined(text)
        end = len(text) if is_last else self._open_from(text, joined)
        shown: list[bytes] = []
        masked = self._masked
        for start, stop in sorted(self._occurrences(text, joined)):
            if start >= end:
                break
            if start >= masked:
                shown += (text[masked:start], MASK)
            masked = max(masked, stop)
        shown.append(text[masked:end])
        self._held, self._masked = text[end:], max(0, masked - end)
        self._before = (self._before + text[:end])[-_FOLDED:]
        return b"".join(shown)

    def _occurrences(self, text: bytes, joined: _Joined) -> Iterator[tuple[int, int]]:
        for pattern in self._with_breaks:
            yield from _find(text, pattern)
        for pattern in self._without:
            for start, stop in _find(joined.text, pattern):
                yield joined.origin(start), joined.origin(stop - 1) + 1

    def _open_from(self, text: bytes, joined: _Joined) -> int:
        """Give where the longest end begins that more bytes could make a pattern of."""
        start = min((_partial(text, pattern) for pattern in self._with_breaks), default=len(text))
        # Most lines that end with the first letters of a secret have nothing to do with it: they are not held back.
        if text[-1:] in (b"\r", b"\n") and not self._is_folded(text):
            return start
        first = min((_partial(joined.text, pattern) for pattern in self._without), default=len(joined.text))
        return start if first == len(joined.text) else min(start, joined.origin(first))

    def _is_folded(self, text: bytes) -> bool:
        line = (self._before + text).rstrip(_BREAKS)[-_FOLDED:]
        return len(line) == _FOLDED and not line.translate(None, _BASE64)


class _Joined:
    """A text without its line breaks, and where each byte of it was."""

    def __init__(self, text: bytes) -> None:
        self._original = text
        self.text = text.translate(None, _BREAKS)
        self._breaks: list[int] | None = None

    def origin(self, at: int) -> int:
        """Give the place in the original text."""
        if self._breaks is None:
            places = (place for place, byte in enumerate(self._original) if byte in _BREAKS)
            self._breaks = [place - number for number, place in enumerate(places)]
        return at + bisect_right(self._breaks, at)


def _find(text: bytes, pattern: bytes) -> Iterator[tuple[int, int]]:
    at = text.find(pattern)
    while at >= 0:
        yield at, at + len(pattern)
        at = text.find(pattern, at + 1)


def _partial(text: bytes, pattern: bytes) -> int:
    """Give where the longest end of the text begins that is a beginning of the pattern, else the text's length."""
    first = pattern[:1]
    at = text.find(first, max(0, len(text) - len(pattern) + 1))
    while at >= 0:
        if pattern.startswith(text[at:]):
            return at
        at = text.find(first, at + 1)
    return len(text)
