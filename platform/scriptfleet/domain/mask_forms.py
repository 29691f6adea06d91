"""The forms in which a secret's value may show in what a script writes. Pure."""

import json
from binascii import b2a_base64
from collections.abc import Iterator
from typing import Final
from urllib.parse import quote, quote_plus

from scriptfleet.domain import check

#: Lines of a secret of several lines are hidden one by one from this length on: a shorter one says little.
_SHORTEST_LINE: Final = 8


def forms_of(value: str) -> Iterator[bytes]:
    """Give the forms: plain, base64 at any place of a larger text, hex, as in JSON and in addresses, line by line."""
    content = value.encode("utf-8", "surrogatepass")
    yield content
    yield from (content.hex().encode(), content.hex().upper().encode())
    yield from _base64_forms(content)
    yield from _escaped_forms(value)
    yield from _line_forms(content)


def _base64_forms(content: bytes) -> Iterator[bytes]:
    """Give the encoding alone, and the part that stays the same behind 0, 1 and 2 bytes of something else."""
    yield from _both_alphabets(b2a_base64(content, newline=False))
    for lead in range(3):
        encoded = b2a_base64(bytes(lead) + content, newline=False)
        # The first and the last character may hold bits of the neighbours.
        same = encoded[(lead * 8 + 5) // 6 : (lead + len(content)) * 8 // 6]
        yield from _both_alphabets(same)


def _both_alphabets(encoded: bytes) -> tuple[bytes, ...]:
    return encoded, encoded.rstrip(b"="), encoded.replace(b"+", b"-").replace(b"/", b"_")


def _escaped_forms(value: str) -> Iterator[bytes]:
    written = [json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1], repr(value)[1:-1]]
    # A lone surrogate cannot be part of an address.
    if value.isascii() or check.is_utf8(value):
        written += [quote(value, safe=""), quote(value), quote_plus(value)]
    yield from (one.encode("utf-8", "surrogatepass") for one in written)


def _line_forms(content: bytes) -> Iterator[bytes]:
    if b"\n" not in content:
        return
    lines = [line.strip() for line in content.splitlines()]
    yield b"\r\n".join(content.splitlines())
    # A trailing break of the value is often not printed.
    yield content.strip()
    yield from (line for line in lines if len(line) >= _SHORTEST_LINE)
