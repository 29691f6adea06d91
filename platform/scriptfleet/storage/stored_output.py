"""What runs wrote, read by byte ranges; memory holds one chunk at a time."""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import sqlalchemy as sa

from scriptfleet.domain import check
from scriptfleet.errors import InvalidValue
from scriptfleet.storage.engine import Database
from scriptfleet.storage.record_row import STREAMS
from scriptfleet.storage.tables import outputs, tails


@dataclass(frozen=True, slots=True)
class OutputSize:
    """How much of a stream is stored."""

    size_bytes: int
    #: Whether it is only the end that travelled with the record, since the rest never came.
    is_tail: bool


class StoredOutput:
    """Reads outputs. Each method raises StoreUnreachable, and InvalidValue for a stream that is none."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def size(self, run_id: str, stream: str) -> OutputSize:
        """Give how much is stored of a run's ``stdout`` or ``stderr``."""
        wanted = sa.select(sa.func.sum(outputs.c.size_bytes)).where(_chunks_of(run_id, stream))
        with self._database.reading() as connection:
            found = connection.scalar(wanted)
        if found is not None:
            return OutputSize(int(found), is_tail=False)
        return OutputSize(len(self._tail(run_id, stream)), is_tail=True)

    def read(self, run_id: str, stream: str, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """Give the bytes from ``start`` up to ``stop``, which is not included, chunk by chunk."""
        at = 0
        chunks = self._numbers(run_id, stream)
        for number, size in chunks:
            if at + size > start and (stop is None or at < stop):
                yield _cut(self._chunk(run_id, stream, number), at, start, stop)
            at += size
        if not chunks and (tail := _cut(self._tail(run_id, stream), 0, start, stop)):
            yield tail

    def _numbers(self, run_id: str, stream: str) -> list[tuple[int, int]]:
        wanted = sa.select(outputs.c.number, outputs.c.size_bytes).where(_chunks_of(run_id, stream))
        with self._database.reading() as connection:
            return [(int(row[0]), int(row[1])) for row in connection.execute(wanted.order_by(outputs.c.number))]

    def _chunk(self, run_id: str, stream: str, number: int) -> bytes:
        wanted = sa.select(outputs.c.body).where(_chunks_of(run_id, stream), outputs.c.number == number)
        with self._database.reading() as connection:
            body = connection.scalar(wanted)
        return zlib.decompress(body) if body is not None else b""

    def _tail(self, run_id: str, stream: str) -> bytes:
        wanted = sa.select(tails.c.content).where(tails.c.run_id == run_id, tails.c.stream == stream)
        with self._database.reading() as connection:
            return str(connection.scalar(wanted) or "").encode()


def _chunks_of(run_id: str, stream: str) -> sa.ColumnElement[bool]:
    if stream not in STREAMS:
        raise InvalidValue("stream", stream, " or ".join(STREAMS))
    return (outputs.c.run_id == check.text("run_id", run_id)) & (outputs.c.stream == stream)


def _cut(body: bytes, at: int, start: int, stop: int | None) -> bytes:
    end = len(body) if stop is None else max(0, stop - at)
    return body[max(0, start - at) : end]
