"""How an export is written in each format: piece by piece, so that memory does not grow with the number of rows."""

import csv
import io
import json
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from scriptfleet.errors import InvalidValue
from scriptfleet.storage.export_rows import Export, Values, as_dict

#: What a spreadsheet takes for the beginning of a formula.
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
_ROWS_A_PIECE: Final = 500
#: Of a columnar format, whose pieces are groups of rows.
_PARQUET_ROWS: Final = 5_000


@dataclass(frozen=True, slots=True)
class Form:
    """A format: how it is called in HTTP, and what writes it."""

    media_type: str
    pieces: Callable[[Export], Generator[bytes, None, None]]


def form_of(name: str) -> Form:
    """Give a format by its name. Raises InvalidValue, also for one whose package is not installed."""
    if name not in FORMS:
        raise InvalidValue("format", name, ", ".join(FORMS))
    if name == "parquet":
        _require_pyarrow()
    return FORMS[name]


def _csv(found: Export) -> Generator[bytes, None, None]:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(found.columns)
    for rows in _gathered(found, _ROWS_A_PIECE):
        writer.writerows(map(_cell, row) for row in rows)
        yield _taken(text)
    yield _taken(text)


def _taken(text: io.StringIO) -> bytes:
    piece = text.getvalue().encode()
    text.seek(0)
    text.truncate()
    return piece


def _cell(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _json(found: Export) -> Generator[bytes, None, None]:
    before = "[\n"
    for rows in _gathered(found, _ROWS_A_PIECE):
        yield (before + ",\n".join(_object(found, row) for row in rows)).encode()
        before = ",\n"
    yield b"[]\n" if before == "[\n" else b"\n]\n"


def _lines(found: Export) -> Generator[bytes, None, None]:
    for rows in _gathered(found, _ROWS_A_PIECE):
        yield "".join(f"{_object(found, row)}\n" for row in rows).encode()


def _object(found: Export, row: Values) -> str:
    return json.dumps(as_dict(found.columns, row), ensure_ascii=False)


def _gathered(found: Export, count: int) -> Iterator[list[Values]]:
    while rows := list(islice(found.rows, count)):
        yield rows


def _parquet(found: Export) -> Generator[bytes, None, None]:
    # A hundred megabytes that nothing else needs.
    import pyarrow  # noqa: PLC0415
    import pyarrow.parquet  # noqa: PLC0415

    kinds = {str: pyarrow.string(), int: pyarrow.int64(), float: pyarrow.float64(), bool: pyarrow.bool_()}
    schema = pyarrow.schema([(name, kinds[kind]) for name, kind in found.columns.items()])
    written = Written()
    with pyarrow.parquet.ParquetWriter(written, schema, compression="zstd") as writer:
        for rows in _gathered(found, _PARQUET_ROWS):
            columns = zip(zip(*rows, strict=True), schema, strict=True)
            arrays = [pyarrow.array(values, field.type) for values, field in columns]
            writer.write_batch(pyarrow.record_batch(arrays, schema=schema))
            yield written.take()
    yield written.take()


class Written(io.RawIOBase):
    """A file that is only written to, and given on piece by piece."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._at = 0

    def writable(self) -> bool:
        """Say so."""
        return True

    def tell(self) -> int:
        """Give how much was written, which is what the footer's places count from."""
        return self._at

    def write(self, piece: Any) -> int:
        """Keep a piece until it is taken."""
        self._pieces.append(bytes(piece))
        self._at += len(self._pieces[-1])
        return len(self._pieces[-1])

    def take(self) -> bytes:
        """Give what was written since the last time."""
        taken, self._pieces = b"".join(self._pieces), []
        return taken


def _require_pyarrow() -> None:
    try:
        import pyarrow  # noqa: F401, PLC0415
    except ModuleNotFoundError as fault:
        missing = "csv, json or jsonl; for parquet run `pip install 'scriptfleet[export]'` (pyarrow is not installed)"
        raise InvalidValue("format", "parquet", missing) from fault


#: What can be written, by the name of the format.
FORMS: Final[dict[str, Form]] = {
    "csv": Form("text/csv; charset=utf-8", _csv),
    "json": Form("application/json", _json),
    "jsonl": Form("application/jsonl", _lines),
    "parquet": Form("application/vnd.apache.parquet", _parquet),
}
