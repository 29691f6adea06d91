"""Takes events from the broker into the store, in a thread of its own.

An event is forgotten by the broker only after the commit. While the database is away, events wait there. One thread
alone stores, batch by batch in the order of the stream; another reads and folds the next batch meanwhile, and a third
counts the last one's runs and has the broker forget it.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import redis

from scriptfleet.domain.event import Event
from scriptfleet.errors import BrokerUnreachable, InvalidValue, StoreUnreachable
from scriptfleet.results.afterwards import Afterwards
from scriptfleet.results.read_ahead import ReadAhead
from scriptfleet.storage.event_rows import Batch
from scriptfleet.storage.ingest_store import FinishedRun

_log = logging.getLogger(__name__)

#: What a batch costs beside its events - statements, a commit, the disk's answer - is shared by all of them. It ends at
#: a bound of bytes too, which keeps memory small.
BATCH_EVENTS = 6000
#: How long one read waits for events; also how late a stop is noticed.
BLOCK_MS = 500
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.2, 5.0
_REASON_MAX_CHARS = 500

_BROKER_FAULTS = (redis.RedisError, BrokerUnreachable)


class EventSource(Protocol):
    """Where events come from. Only what is done is forgotten."""

    def read(self, count: int = ..., block_ms: int = ...) -> Sequence[Event]:
        """Give the next events, none after ``block_ms`` without one."""

    def done(self, entry_ids: Sequence[str]) -> None:
        """Forget events that are stored."""

    def start_over(self) -> None:
        """Give again what was read and is not done."""

    def backlog(self) -> int:
        """Give how many events are not stored yet."""

    def bury(self, entry_id: str, reason: str, /) -> None:
        """Set aside an event that no store can take."""

    def buried(self) -> int:
        """Give how many events were set aside."""

    def leave(self) -> None:
        """Say that this reader will not read again."""


class EventStore(Protocol):
    """Where events go."""

    def fold(self, events: Sequence[Event]) -> Batch:
        """Give the rows that events make, for apply()."""

    def apply(self, events: Sequence[Event], folded: Batch | None = None) -> Sequence[FinishedRun]:
        """Take events in one transaction; give the runs whose records are new. ``folded`` serves one call."""


class _Read(NamedTuple):
    """A batch as it was read; its rows, where they could be made."""

    events: Sequence[Event]
    folded: Batch | None


class Ingest:
    """The thread. It ends only when told to; a fault of ours is logged, shown by /readyz, and tried again."""

    def __init__(self, source: EventSource, store: EventStore, observe: Callable[[FinishedRun], None]) -> None:
        self._source, self._store, self._observe = source, store, observe
        self._ahead, self._after = ReadAhead(self._read), Afterwards()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ingest", daemon=True)
        self._pause = FIRST_PAUSE_SECONDS
        #: Server clock at the oldest event under way, milliseconds; None while there is none.
        self._oldest_ms: int | None = None
        self._last_lag = 0.0
        #: Why the last try failed; None when it went well.
        self.trouble: str | None = None

    def start(self) -> None:
        """Begin to take events."""
        self._thread.start()

    def stop(self, within_seconds: float = 30.0) -> None:
        """End once what was read is stored; events that could not be stored stay with the broker."""
        self._stopping.set()
        self._thread.join(within_seconds)

    def is_alive(self) -> bool:
        """Tell whether the thread runs."""
        return self._thread.is_alive()

    def backlog(self) -> int:
        """Give how many events are not stored yet."""
        return self._source.backlog()

    def buried(self) -> int:
        """Give how many events were set aside, since no store could take them."""
        return self._source.buried()

    def lag_seconds(self) -> float:
        """Give how old the oldest event under way is, or was when the last batch was stored; 0 when all is stored."""
        oldest = self._oldest_ms
        return self._last_lag if oldest is None else _age_seconds(oldest)

    def _run(self) -> None:
        while self._ahead.is_under_way or not self._stopping.is_set():
            try:
                self._step()
            except Exception as fault:  # the edge of this thread: nothing above would tell
                _log.exception("ingest_failed")
                self._wait_out(fault)
                self._start_over()
        self._ahead.close()
        try:
            self._after.close()
            self._source.leave()
        except _BROKER_FAULTS as fault:
            _log.warning("ingest_left_without_saying reason=%s", fault)

    def _step(self) -> None:
        try:
            read = self._ahead.take(and_go_on=not self._stopping.is_set())
        except _BROKER_FAULTS as fault:
            self._wait_out(fault)
            return
        if read:
            self._store_all(*read)
        elif self._is_last_forgotten():
            self._last_lag = 0.0
            self._went_well()

    def _read(self) -> _Read | None:
        events = self._source.read(BATCH_EVENTS, BLOCK_MS)
        if not events:
            return None
        try:
            return _Read(events, self._store.fold(events))
        except Exception:  # the thread that stores meets it again, and buries what it is about
            return _Read(events, None)

    def _store_all(self, events: Sequence[Event], folded: Batch | None) -> None:
        self._oldest_ms = min(event.at_ms for event in events)
        while not self._is_taken(events, folded):
            if self._stopping.is_set():
                return
            folded = None
        self._last_lag, self._oldest_ms = _age_seconds(self._oldest_ms), None

    def _is_taken(self, events: Sequence[Event], folded: Batch | None) -> bool:
        try:
            self._take(events, folded)
        except StoreUnreachable as fault:
            self._wait_out(fault)
            return False
        except _BROKER_FAULTS as fault:
            # Stored, but not forgotten by the broker: it is read and stored again, which changes nothing.
            self._wait_out(fault)
            self._start_over()
            return True
        self._went_well()
        return True

    def _is_last_forgotten(self) -> bool:
        try:
            self._after.settle()
        except _BROKER_FAULTS as fault:
            self._wait_out(fault)
            self._start_over()
            return False
        return True

    def _take(self, events: Sequence[Event], folded: Batch | None = None) -> None:
        try:
            new = self._store.apply(events, folded)
        except StoreUnreachable:
            raise
        except Exception as fault:  # whatever an event makes the store raise, the others are to be stored
            self._take_without_bad_one(events, fault)
            return
        self._after.do(lambda: self._count_and_forget(new, events))

    def _count_and_forget(self, new: Sequence[FinishedRun], events: Sequence[Event]) -> None:
        for run in new:
            self._observe(run)
        self._source.done([event.entry_id for event in events])

    def _take_without_bad_one(self, events: Sequence[Event], fault: Exception) -> None:
        if len(events) > 1:
            middle = len(events) // 2
            self._take(events[:middle])
            self._take(events[middle:])
            return
        bad, reason = events[0], str(fault) if isinstance(fault, InvalidValue) else repr(fault)
        # What nobody foresaw comes with its traceback.
        traced = None if isinstance(fault, InvalidValue) else fault
        said = (bad.entry_id, bad.type, bad.job_id, _sendable(reason))
        _log.error("event_buried entry=%s type=%s job=%s reason=%s", *said, exc_info=traced)
        self._source.bury(bad.entry_id, _sendable(reason))

    def _start_over(self) -> None:
        # What was read ahead is among what comes again.
        self._ahead.drop()
        self._source.start_over()

    def _wait_out(self, fault: Exception) -> None:
        if self.trouble is None:
            _log.warning("ingest_waits reason=%s", fault)
        self.trouble = str(fault) or type(fault).__name__
        self._stopping.wait(self._pause)
        self._pause = min(self._pause * 2, LONGEST_PAUSE_SECONDS)

    def _went_well(self) -> None:
        if self.trouble is not None:
            _log.info("ingest_goes_on")
        self.trouble, self._pause = None, FIRST_PAUSE_SECONDS


def _age_seconds(at_ms: int) -> float:
    # Two machines' clocks: the broker's may be ahead. Whole numbers: the event may be one that is to be buried.
    return max(0, round(time.time() * 1000) - at_ms) / 1000


def _sendable(reason: str) -> str:
    return reason[:_REASON_MAX_CHARS].encode("ascii", "backslashreplace").decode()
