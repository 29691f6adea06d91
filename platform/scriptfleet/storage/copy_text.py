"""Rows as PostgreSQL's COPY reads them in its CSV form, made from JSON by a compiled writer: a line a row.

JSON and CSV spell numbers, true, false and texts alike, given that COPY is told that null is ``null`` and that a
backslash escapes; what else JSON escapes in a text stands in CSV as it is.
"""

import re
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Final

import msgspec

#: What is said to COPY of the form.
OPTIONS: Final = "FORMAT csv, NULL 'null', ESCAPE '\\', ENCODING 'UTF8'"
_lines_of: Final = msgspec.json.Encoder().encode_lines
#: The driver lets other threads run between two reads, and waits for them.
_ROWS_AT_ONCE: Final = 250
_BETWEEN_ROWS: Final = b"]\n["
_PLAIN: Final = ((b"\\n", b"\n"), (b"\\r", b"\r"), (b"\\t", b"\t"), (b"\\b", b"\b"), (b"\\f", b"\f"))
_may_be_escaped: Final = re.compile(rb"\\[nrtbfu]").search
_BACKSLASH: Final = b"\\\\"
#: Stands for a backslash meanwhile: in no text that a column takes (see storable.py), nor in JSON.
_SET_ASIDE: Final = b"\0"
_CONTROL: Final = re.compile(rb"\\u00([0-9a-f]{2})")


class CopyFile:
    """A file of rows that are made while the server takes what was made before; for the database's driver."""

    def __init__(self, rows: Iterable[Sequence[object]], *, has_bytes: bool = False) -> None:
        """Take rows of values that a JSON has, and bytes where it is said."""
        self._rows = map(_with_hex, rows) if has_bytes else iter(rows)

        #: What kept rows from being made: the driver tells of it as if the server had ended the copying.
        self.fault: Exception | None = None

    def read(self, _size: int = -1) -> bytes:
        """Give the next lines, empty at the end."""
        try:
            lines = _lines_of(islice(self._rows, _ROWS_AT_ONCE))
        except Exception as fault:
            self.fault = fault
            raise
        # A line feed within a text is escaped still.
        return _without_escapes(lines[1:-2].replace(_BETWEEN_ROWS, b"\n") + b"\n") if lines else lines


def _without_escapes(lines: bytes) -> bytes:
    # Most rows have none: this is quick, and finds more than there are.
    if not _may_be_escaped(lines):
        return lines
    lines = lines.replace(_BACKSLASH, _SET_ASIDE)
    for escape, plain in _PLAIN:
        lines = lines.replace(escape, plain)
    return _CONTROL.sub(_control, lines).replace(_SET_ASIDE, _BACKSLASH)


def _control(escape: re.Match[bytes]) -> bytes:
    return bytes.fromhex(escape[1].decode())


def _with_hex(row: Sequence[object]) -> Sequence[object]:
    return ["\\x" + value.hex() if type(value) is bytes else value for value in row]
