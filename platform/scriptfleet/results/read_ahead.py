"""Reads the next events in a thread of its own while the last ones are stored."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Generic, TypeVar

_Batch = TypeVar("_Batch")


class ReadAhead(Generic[_Batch]):
    """At most one read is under way, and one batch is held. For one thread."""

    def __init__(self, read: Callable[[], _Batch | None]) -> None:
        self._read = read
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="ingest-read")
        self._next: Future[_Batch | None] | None = None

    @property
    def is_under_way(self) -> bool:
        """Whether events were read, or are being read, that nobody has taken yet."""
        return self._next is not None

    def take(self, *, and_go_on: bool) -> _Batch | None:
        """Give the next batch, in the order of the stream; where there is one, begin to read the one behind it.

        Raises what reading it raised.
        """
        reading, self._next = self._next or self._pool.submit(self._read), None
        batch = reading.result()
        if batch and and_go_on:
            self._next = self._pool.submit(self._read)
        return batch

    def drop(self) -> None:
        """Let go of what was read ahead; nobody reads when this is over."""
        if self._next is not None:
            wait([self._next])
        self._next = None

    def close(self) -> None:
        """End the thread."""
        self.drop()
        self._pool.shutdown()
