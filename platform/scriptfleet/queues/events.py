"""The stream of facts: written with every change of a job, read in a group by the results service.

Facts are deleted once they are stored, never trimmed by length: trimming would lose what nobody has read yet.
"""

import base64
import json
import logging
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final

import redis

from scriptfleet.domain.event import EVENT_VERSION, EventType, StreamEvent
from scriptfleet.queues.keys import Keys
from scriptfleet.queues.scripts import Scripts
from scriptfleet.queues.signing import is_fact_genuine, seal_output

_log = logging.getLogger(__name__)

GROUP: Final = "store"
#: Output travels to the store in pieces of so many bytes before compression.
OUTPUT_PIECE_BYTES: Final = 256 * 1024
#: A batch ends at so many bytes, as they travel.
BATCH_BYTES: Final = 4 * 1024 * 1024
#: So many events come in one answer, which has no bound by bytes: a piece of output may have 350 KB on its way. After
#: large ones fewer are asked for, and of the first answer nobody knows.
_ANSWER_EVENTS: Final = 250
_FIRST_BYTES: Final = 256 * 1024
#: What a consumer took and did not finish in this time is taken over by another: longer than any write to the database.
_ABANDONED_MS: Final = 60_000
_LOOK_SECONDS: Final = 5.0

_Entry = tuple[bytes, dict[bytes, bytes] | None]
#: Reads what most facts of a type say; gives None for what it leaves to json.
QuickRead = Callable[[EventType, str], object]
#: Quicker than to ask the type itself.
_TYPES: Final = {str(one).encode(): one for one in EventType}


class EventReader:
    """Reads facts for one consumer of the group; each fact goes to one consumer until it is done or abandoned."""

    def __init__(
        self, client: redis.Redis, keys: Keys, consumer: str, signing_key: str = "", quick_read: QuickRead | None = None
    ) -> None:
        """With a key, facts that were to be signed with it and are not are set aside.

        What ``quick_read`` makes of a fact's text is in its ``told``.
        """
        self._key, self._quick_read = signing_key, quick_read
        self._client, self._stream, self._consumer = client, keys("events"), consumer
        self._dead, self._scripts = keys("events", "dead"), Scripts(client, keys)
        self._own_next: str | None = "0"
        self._next_look = 0.0
        self._is_group_made = False
        #: Of the last answer, on average; before the first one, a guess that keeps that one small.
        self._event_bytes = _FIRST_BYTES

    def read(self, count: int = 500, block_ms: int = 500) -> list[StreamEvent]:
        """Give the next facts: first what this consumer left unfinished, then what dead ones left, then new ones.

        At most ``count``, and no more once they have BATCH_BYTES.
        """
        try:
            self._make_group()
            at_once = self._at_once(count)
            entries = self._own_pending(at_once) or self._abandoned(at_once) or self._new(count, block_ms)
            return list(self._parsed(entries))
        except redis.RedisError as fault:
            # What came before the fault, or in an answer that did not come, is this consumer's now.
            self._own_next = "0"
            self._forget_lost_group(fault)
            return []

    def done(self, entry_ids: Sequence[str]) -> None:
        """Forget facts that are stored."""
        if entry_ids:
            pipeline = self._client.pipeline(transaction=False)
            pipeline.xack(self._stream, GROUP, *entry_ids)
            pipeline.xdel(self._stream, *entry_ids)
            pipeline.execute()

    def start_over(self) -> None:
        """Read again what was read and not done, after a write that failed."""
        self._own_next = "0"

    def backlog(self) -> int:
        """Give how many facts are not stored yet."""
        return int(self._client.xlen(self._stream))

    def stored_until(self) -> float:
        """Give the moment from before which every fact is stored: the server's clock, seconds since the epoch."""
        seconds, micros = self._client.time()
        first = self._client.xrange(self._stream, count=1)
        # The first part of an entry's id is the moment at which it was written, in milliseconds.
        return int(first[0][0].partition(b"-")[0]) / 1000 if first else seconds + micros / 1e6

    def buried(self) -> int:
        """Give how many facts were set aside."""
        return int(self._client.xlen(self._dead))

    def leave(self) -> None:
        """Take this consumer off the group, unless facts that it took are not done: these are for who takes over."""
        try:
            if not self._client.xpending_range(self._stream, GROUP, "-", "+", 1, self._consumer):
                self._client.xgroup_delconsumer(self._stream, GROUP, self._consumer)
        except redis.ResponseError as fault:
            # Neither stream nor group: there is nothing to leave.
            self._forget_lost_group(fault)

    def bury(self, entry_id: str, reason: str) -> None:
        """Set a fact aside that no store can take; it stays in the stream of the dead with the reason."""
        self._scripts.call("bury", GROUP, entry_id, reason)

    def _make_group(self) -> None:
        if self._is_group_made:
            return
        try:
            self._client.xgroup_create(self._stream, GROUP, id="0", mkstream=True)
        except redis.ResponseError as fault:
            if "BUSYGROUP" not in str(fault):
                raise
        self._is_group_made = True

    def _forget_lost_group(self, fault: redis.RedisError) -> None:
        """Let the next read make the group anew: a server that was wiped has lost it; raises all other faults."""
        if "NOGROUP" not in str(fault):
            raise fault
        self._is_group_made = False

    def _own_pending(self, count: int) -> list[_Entry]:
        if self._own_next is None:
            return []
        entries = self._group_read(self._own_next, count, None)
        self._own_next = entries[-1][0].decode() if entries else None
        if entries:
            _log.warning("unfinished_events_taken_up count=%d", len(entries))
        return entries

    def _abandoned(self, count: int) -> list[_Entry]:
        if time.monotonic() < self._next_look:
            return []
        # Never its own: these are in hand, however long the store takes, or come again by themselves.
        others = [of["name"] for of in self._client.xpending(self._stream, GROUP)["consumers"]]
        for other in others:
            if other != self._consumer.encode() and (entries := self._taken_over(other, count)):
                return entries
        self._next_look = time.monotonic() + _LOOK_SECONDS
        return []

    def _taken_over(self, other: bytes, count: int) -> list[_Entry]:
        idle = self._client.xpending_range(self._stream, GROUP, "-", "+", count, other, _ABANDONED_MS)
        if not idle:
            return []
        entry_ids = [found["message_id"] for found in idle]
        entries: list[_Entry] = self._client.xclaim(self._stream, GROUP, self._consumer, _ABANDONED_MS, entry_ids)
        _log.warning("abandoned_events_taken_over count=%d", len(entries))
        return entries

    def _new(self, count: int, block_ms: int) -> list[_Entry]:
        asked = self._at_once(count)
        answer = self._group_read(">", asked, block_ms)
        entries, size = answer, _size_of(answer)
        # A short answer was the end of the stream.
        while len(answer) == asked and len(entries) < count and size < BATCH_BYTES:
            asked = self._at_once(count - len(entries))
            answer = self._further(asked)
            entries, size = [*entries, *answer], size + _size_of(answer)
        return entries

    def _further(self, count: int) -> list[_Entry]:
        try:
            return self._group_read(">", count, None)
        except redis.ResponseError as fault:
            # What is in hand is nowhere else any more: this batch ends with it.
            self._forget_lost_group(fault)
            return []

    def _group_read(self, start: str, count: int, block_ms: int | None) -> list[_Entry]:
        answer = self._client.xreadgroup(GROUP, self._consumer, {self._stream: start}, count=count, block=block_ms)
        found = [entry for _, entries in _streams(answer) for entry in entries]
        if found:
            self._event_bytes = _size_of(found) // len(found)
        return found

    def _at_once(self, count: int) -> int:
        """Give how many facts to ask for: of large ones, such as pieces of output, an answer is to be no larger."""
        return max(1, min(count, _ANSWER_EVENTS, BATCH_BYTES // max(1, self._event_bytes)))

    def _parsed(self, entries: Iterable[_Entry]) -> Iterator[StreamEvent]:
        for entry_id, fields in entries:
            if not fields:
                self.done([entry_id.decode()])
                continue
            try:
                event = parsed(entry_id.decode(), fields)
                self._read_data(event)
            except (KeyError, ValueError, TypeError, RecursionError) as fault:
                self.bury(entry_id.decode(), f"not readable: {fault!r}")
                continue
            if not self._key or is_fact_genuine(self._key, event.type, event.job_id, event.data):
                yield event
            else:
                self.bury(event.entry_id, "not signed with this fleet's key")

    def _read_data(self, event: StreamEvent) -> None:
        event.told = self._quick_read(event.type, event.body) if self._quick_read else None
        if event.told is None or self._key:
            # Its data is to be readable before anybody asks for it.
            _ = event.data


class OutputPublisher:
    """Sends the stored output of a run towards the store, in pieces."""

    def __init__(self, client: redis.Redis, keys: Keys, signing_key: str = "") -> None:
        self._client, self._stream, self._key = client, keys("events"), signing_key

    def publish(
        self, job_id: str, run_id: str, stream: str, content: Iterable[bytes], at_ms: int, first: int = 0
    ) -> None:
        """Send pieces, each of at most OUTPUT_PIECE_BYTES; ``first`` is the number of the first one in its stream."""
        for number, piece in enumerate(content, first):
            body = base64.b64encode(zlib.compress(piece, 6)).decode()
            data = {"run_id": run_id, "stream": stream, "number": number, "body": body}
            data["sig"] = seal_output(self._key, job_id, run_id, data)
            self._client.xadd(
                self._stream,
                {"v": EVENT_VERSION, "t": EventType.OUTPUT, "j": job_id, "r": 0, "at": at_ms, "d": json.dumps(data)},
            )


def _size_of(entries: Iterable[_Entry]) -> int:
    return sum(len(fields.get(b"d", b"")) for _, fields in entries if fields)


def _streams(answer: Any) -> list[tuple[bytes, list[_Entry]]]:
    if isinstance(answer, dict):
        return [(name, [entry for part in parts for entry in part]) for name, parts in answer.items()]
    return list(answer or [])


def parsed(entry_id: str, fields: dict[bytes, bytes]) -> StreamEvent:
    """Give the event that an entry of the stream holds; raises KeyError, ValueError or TypeError for what is none."""
    version = int(fields[b"v"])
    if version > EVENT_VERSION:
        raise ValueError(f"version {version} is newer than {EVENT_VERSION}")
    kind = _TYPES.get(fields[b"t"]) or EventType(fields[b"t"].decode())
    moment = int(fields[b"at"])
    return StreamEvent(entry_id, kind, fields[b"j"].decode(), int(fields[b"r"]), moment, fields[b"d"].decode())
