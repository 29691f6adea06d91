"""Live output: a capped stream per run, written by its worker, followed by whoever wants to watch."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import redis

from scriptfleet.queues.keys import Keys

#: One entry holds at most so many bytes; a stream keeps about so many entries, so about 1 MiB.
PIECE_BYTES: Final = 16 * 1024
_ENTRIES: Final = 64
_STALE_SECONDS: Final = 24 * 3600


@dataclass(frozen=True, slots=True)
class OutputPiece:
    """Some bytes of a run's output."""

    stream: str
    content: bytes


class LiveOutput:
    """Writes and reads live output."""

    def __init__(self, client: redis.Redis, keys: Keys) -> None:
        self._client, self._keys = client, keys

    def write(self, pieces: list[tuple[str, str, bytes]]) -> None:
        """Add pieces (run id, stream, content) in one round trip."""
        pipeline = self._client.pipeline(transaction=False)
        for run_id, stream, content in pieces:
            key = self._keys("output", run_id)
            pipeline.xadd(key, {"s": stream, "b": content}, maxlen=_ENTRIES, approximate=False)
            pipeline.expire(key, _STALE_SECONDS)
        pipeline.execute()

    def end(self, run_id: str, keep_seconds: float) -> None:
        """Mark the end, so that followers stop, and let the stream go after a while."""
        pipeline = self._client.pipeline(transaction=False)
        key = self._keys("output", run_id)
        pipeline.xadd(key, {"s": "end"}, maxlen=_ENTRIES + 1, approximate=False)
        pipeline.expire(key, max(1, round(keep_seconds)))
        pipeline.execute()

    def follow(self, run_id: str, block_ms: int = 500) -> Iterator[OutputPiece | None]:
        """Give pieces as they come, from the first that is kept; None whenever nothing came; ends with the run."""
        key, last = self._keys("output", run_id), "0"
        while True:
            answer = self._client.xread({key: last}, count=100, block=block_ms)
            if not answer:
                yield None
                continue
            for entry_id, fields in answer[0][1]:
                last = entry_id.decode()
                if fields[b"s"] == b"end":
                    return
                yield OutputPiece(fields[b"s"].decode(), fields[b"b"])
