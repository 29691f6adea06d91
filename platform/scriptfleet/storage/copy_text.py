"""Rows as PostgreSQL's COPY reads them: a line a row, tabs between values."""

import io
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

_NULL: Final = "\\N"
_ESCAPES: Final = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
_is_special: Final = re.compile(r"[\\\t\n\r]").search


def copy_text(rows: Iterable[Sequence[object]]) -> io.StringIO:
    """Give rows of values as a file of lines; texts have no NUL (see storable.py)."""
    lines = [_line(row) for row in rows]
    lines.append("")
    return io.StringIO("\n".join(lines))


def _line(row: Sequence[object]) -> str:
    # Most values of a row are null; this is the innermost loop of the ingest.
    return "\t".join([_NULL if value is None else _WRITERS.get(type(value), repr)(value) for value in row])


def _text(value: str) -> str:
    return value.translate(_ESCAPES) if _is_special(value) else value


def _bytes(value: bytes) -> str:
    return f"\\\\x{value.hex()}"


#: Of numbers, and true and false, repr() is the shortest text that is the same value again.
_WRITERS: Final[dict[type, Callable[[Any], str]]] = {str: _text, bytes: _bytes}
