"""Live output: a capped stream per run, written by its worker, followed by whoever wants to watch."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import redis

from scriptfleet.queues.keys import Keys
from scriptfleet.queues.scripts import Scripts

#: One entry holds at most so many bytes.
PIECE_BYTES: Final = 16 * 1024
#: A run's stream keeps the end of its output, so many bytes of it.
KEPT_BYTES: Final = 1024 * 1024
_STALE_SECONDS: Final = 24 * 3600
#: What an entry weighs beside its bytes, as in lua/show.lua.
_ENTRY_WEIGHT: Final = 64


class NewPiece(NamedTuple):
    """Some bytes that a run wrote, on their way."""

    run_id: str
    stream: str
    content: bytes
    #: Where they begin in the stream as it is kept, bytes; None where nobody says.
    at: int | None = None


@dataclass(frozen=True, slots=True)
class OutputPiece:
    """Some bytes of a run's output."""

    stream: str
    content: bytes
    #: Whether output between the piece before and this one is no longer there.
    has_gap: bool = False
    #: Where they begin in the stream as it is kept, bytes; None from a worker that does not say.
    at: int | None = None


@dataclass(frozen=True, slots=True)
class NewOutput:
    """What came since a follower last asked."""

    #: Id of the last entry: where to go on.
    last: str
    #: Stream and bytes.
    pieces: list[tuple[str, bytes]]
    has_ended: bool


class LiveOutput:
    """Writes and reads live output."""

    def __init__(self, client: redis.Redis, keys: Keys, scripts: Scripts | None = None) -> None:
        self._client, self._keys = client, keys
        self._scripts = scripts or Scripts(client, keys)

    def write(self, pieces: Sequence[NewPiece | tuple[str, str, bytes]]) -> None:
        """Add pieces in one round trip; the oldest go when there is more than is kept."""
        flat = [part for piece in pieces for part in _as_sent(NewPiece(*piece))]
        self._scripts.call("show", KEPT_BYTES, _STALE_SECONDS * 1000, *flat)

    def end(self, run_id: str, keep_seconds: float) -> None:
        """Mark the end, so that followers stop, and let the stream go after a while."""
        pipeline = self._client.pipeline(transaction=False)
        key = self._keys("output", run_id)
        pipeline.xadd(key, {"s": "end"})
        pipeline.expire(key, max(1, round(keep_seconds)))
        pipeline.execute()

    def is_there(self, run_id: str) -> bool:
        """Tell whether anything of the run's live output is kept."""
        return bool(self._client.exists(self._keys("output", run_id)))

    def since(self, run_id: str, after: str, block_ms: int) -> "NewOutput":
        """Wait so long for what came after an entry, "0" for all that is kept. Raises the client library's errors."""
        answer = self._client.xread({self._keys("output", run_id): after}, count=64, block=block_ms)
        entries = answer[0][1] if answer else []
        pieces = [(fields[b"s"].decode(), fields.get(b"b", b"")) for _, fields in entries]
        last = entries[-1][0].decode() if entries else after
        return NewOutput(last, [piece for piece in pieces if piece[0] != "end"], ("end", b"") in pieces)

    def follow(self, run_id: str, block_ms: int = 500) -> Iterator[OutputPiece | None]:
        """Give pieces as they come, from the first that is kept; None whenever nothing came; ends with the run."""
        key, last, seen = self._keys("output", run_id), "0", 0
        while True:
            answer = self._client.xread({key: last}, count=100, block=block_ms)
            if not answer:
                yield None
                continue
            for entry_id, fields in answer[0][1]:
                last = entry_id.decode()
                if fields[b"s"] == b"end":
                    return
                stream, content, before = fields[b"s"].decode(), fields[b"b"], int(fields[b"n"])
                at = int(fields[b"o"]) if fields.get(b"o") else None
                yield OutputPiece(stream, content, has_gap=before > seen, at=at)
                seen = before + len(content) + _ENTRY_WEIGHT


def _as_sent(piece: NewPiece) -> tuple[Any, ...]:
    return piece.run_id, piece.stream, piece.content, "" if piece.at is None else piece.at
