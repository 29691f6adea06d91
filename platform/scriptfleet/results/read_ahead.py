"""Reads the next events in a thread of its own while the last ones are stored."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait

from scriptfleet.domain.event import Event

Read = Callable[[], Sequence[Event]]


class ReadAhead:
    """At most one read is under way, and one batch is held. For one thread."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="ingest-read")
        self._next: Future[Sequence[Event]] | None = None

    @property
    def is_under_way(self) -> bool:
        """Whether events were read, or are being read, that nobody has taken yet."""
        return self._next is not None

    def take(self, *, and_go_on: bool) -> Sequence[Event]:
        """Give the next events, in their order; where there are any, begin to read those behind them.

        Raises what reading them raised.
        """
        reading, self._next = self._next or self._pool.submit(self._read), None
        events = reading.result()
        if events and and_go_on:
            self._next = self._pool.submit(self._read)
        return events

    def drop(self) -> None:
        """Let go of what was read ahead; nobody reads when this is over."""
        if self._next is not None:
            wait([self._next])
        self._next = None

    def close(self) -> None:
        """End the thread."""
        self.drop()
        self._pool.shutdown()
