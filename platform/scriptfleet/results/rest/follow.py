"""Following the output of a run: live from the broker while it runs, from the store afterwards.

A place is how many bytes of each stream have been shown, counted in the output as it is kept, which is what the store
has later: so the switch from live to stored, and a resume after a cut line, neither leave out nor repeat anything.
What the live output had to drop is told as a gap; the store has it once the run has ended.
"""

import codecs
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Self

from scriptfleet.errors import BrokerUnreachable, InvalidValue, RunNotFound, StoreUnreachable
from scriptfleet.queues.connection import told_plainly
from scriptfleet.queues.events import EventReader
from scriptfleet.queues.live_output import OutputPiece
from scriptfleet.results.rest.event_stream import HEARTBEAT, RETRY, event
from scriptfleet.results.rest.parts import RestParts
from scriptfleet.results.rest.seated_stream import Pieces
from scriptfleet.storage.record_row import STREAMS

#: The id of the last event of a run: who comes back with it has seen all.
END: Final = "end"
_BLOCK_MS: Final = 500
_HEARTBEAT_SECONDS: Final = 10.0
#: Facts of a run come in order, but two services may store them in another.
_SETTLE_SECONDS: Final = 10.0
_PIECE_BYTES: Final = 64 * 1024


@dataclass
class Place:
    """How many bytes of each stream have been shown."""

    shown: dict[str, int] = field(default_factory=lambda: dict.fromkeys(STREAMS, 0))

    @classmethod
    def read(cls, event_id: str | None) -> Self:
        """Read the id of an event; raises InvalidValue."""
        if not event_id:
            return cls()
        parts = event_id.split("-")
        if len(parts) != len(STREAMS) or not all(part.isascii() and part.isdigit() for part in parts):
            raise InvalidValue("Last-Event-ID", event_id, "the id of an event of this run")
        return cls(dict(zip(STREAMS, map(int, parts), strict=True)))

    def __str__(self) -> str:
        return "-".join(str(self.shown[stream]) for stream in STREAMS)


class Follower:
    """One reader of one run."""

    def __init__(self, parts: RestParts, run_id: str, place: Place) -> None:
        self._parts, self._run_id, self._place = parts, run_id, place
        self._decoders = {name: codecs.getincrementaldecoder("utf-8")("replace") for name in STREAMS}
        self._told_at = time.monotonic()

    def events(self) -> Pieces:
        """Give the events from the place on, up to the end of the run, or to where broker or store went away."""
        yield RETRY
        try:
            if not self._is_stored():
                yield from self._live()
                yield from self._until_stored()
            if self._parts.leaving.is_set():
                # Whoever follows comes again with the place that was reached.
                return
            for stream in STREAMS:
                yield from self._stored(stream)
            yield event("end", self._end(), END)
        except (BrokerUnreachable, StoreUnreachable) as fault:
            yield event("interrupted", {"detail": str(fault)})

    def _live(self) -> Iterator[bytes]:
        broker = self._parts.client.broker
        with told_plainly(broker.url):
            for piece in broker.live_output.follow(self._run_id, _BLOCK_MS):
                if piece is not None:
                    yield from self._shown(piece.stream, self._begin(piece), piece.content)
                elif self._parts.leaving.is_set() or self._is_stored():
                    return
                else:
                    yield from self._heartbeat()

    def _begin(self, piece: OutputPiece) -> int:
        # A worker of an older version does not say where a piece begins: then it follows what was shown.
        return self._place.shown[piece.stream] if piece.at is None else piece.at

    def _shown(self, stream: str, begin: int, content: bytes) -> Iterator[bytes]:
        """Show a piece, or what of it has not been shown."""
        decoder, shown = self._decoders[stream], self._place.shown[stream]
        pending = len(decoder.getstate()[0])
        reached = shown + pending
        if begin > reached:
            yield from self._gap(stream, begin)
            reached, pending = begin, 0
        text = decoder.decode(content[max(0, reached - begin) :])
        now = max(reached, begin + len(content)) - len(decoder.getstate()[0])
        if text:
            at, self._place.shown[stream] = self._place.shown[stream], now
            yield self._told("output", {"stream": stream, "at": at, "text": text})

    def _gap(self, stream: str, begin: int) -> Iterator[bytes]:
        self._decoders[stream].reset()
        missing = {"stream": stream, "from": self._place.shown[stream], "to": begin}
        self._place.shown[stream] = begin
        yield self._told("gap", missing)

    def _stored(self, stream: str) -> Iterator[bytes]:
        outputs, begin = self._parts.outputs, self._place.shown[stream]
        # Bytes of a character that had not come whole are read again.
        self._decoders[stream].reset()
        if outputs.size(self._run_id, stream).is_tail and begin:
            # Where the end that is left lies in the whole is not known: nothing of it is shown twice.
            return
        for chunk in outputs.read(self._run_id, stream, begin):
            for start in range(0, len(chunk), _PIECE_BYTES):
                piece = chunk[start : start + _PIECE_BYTES]
                yield from self._shown(stream, begin, piece)
                begin += len(piece)
        if rest := self._decoders[stream].decode(b"", final=True):
            at, self._place.shown[stream] = self._place.shown[stream], begin
            yield self._told("output", {"stream": stream, "at": at, "text": rest})

    def _until_stored(self) -> Iterator[bytes]:
        while not self._is_stored():
            if self._parts.leaving.wait(_BLOCK_MS / 1000):
                return
            yield from self._heartbeat()
        broker, deadline = self._parts.client.broker, time.monotonic() + _SETTLE_SECONDS
        with told_plainly(broker.url):
            reader = EventReader(broker.redis, broker.keys, "follower")
            seconds, micros = broker.redis.time()
            while reader.stored_until() < seconds + micros / 1e6 and time.monotonic() < deadline:
                self._parts.leaving.wait(_BLOCK_MS / 5000)
                yield from self._heartbeat()

    def _is_stored(self) -> bool:
        try:
            return self._parts.runs.get(self._run_id).outcome is not None
        except RunNotFound:
            # Its claim has not come to the store yet.
            return False

    def _end(self) -> dict[str, object]:
        run = self._parts.runs.get(self._run_id)
        cut = {"stdout_cut_bytes": run.stdout_cut_bytes, "stderr_cut_bytes": run.stderr_cut_bytes}
        return {"run_id": run.run_id, "job_id": run.job_id, "outcome": run.outcome, **cut}

    def _told(self, name: str, data: object) -> bytes:
        self._told_at = time.monotonic()
        return event(name, data, str(self._place))

    def _heartbeat(self) -> Iterator[bytes]:
        if time.monotonic() - self._told_at >= _HEARTBEAT_SECONDS:
            self._told_at = time.monotonic()
            yield HEARTBEAT
