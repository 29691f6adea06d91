"""Rows as PostgreSQL's COPY reads them: a line a row, tabs between values."""

import io
import json
import re
from collections.abc import Callable, Sequence
from typing import Any, Final

from scriptfleet.storage.row import Row

_NULL: Final = "\\N"
_ESCAPES: Final = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
_is_special: Final = re.compile(r"[\\\t\n\r]").search


def copy_text(rows: Sequence[Row], columns: Sequence[str], json_columns: frozenset[str]) -> io.StringIO:
    """Give rows as a file of lines. A column that a row lacks is null; texts have no NUL (see storable.py)."""
    of_json = json_columns.intersection(columns)
    lines = [_line(_with_json_text(row, of_json) if of_json else row, columns) for row in rows]
    lines.append("")
    return io.StringIO("\n".join(lines))


def _with_json_text(row: Row, names: frozenset[str]) -> Row:
    return row | {name: json.dumps(row[name]) for name in names if row.get(name) is not None}


def _line(row: Row, columns: Sequence[str]) -> str:
    # Most values of a row are null; this is the innermost loop of the ingest.
    return "\t".join(
        [_NULL if value is None else _WRITERS.get(type(value), repr)(value) for value in map(row.get, columns)]
    )


def _text(value: str) -> str:
    return value.translate(_ESCAPES) if _is_special(value) else value


def _bytes(value: bytes) -> str:
    return f"\\\\x{value.hex()}"


#: Of numbers, and true and false, repr() is the shortest text that is the same value again.
_WRITERS: Final[dict[type, Callable[[Any], str]]] = {str: _text, bytes: _bytes}
