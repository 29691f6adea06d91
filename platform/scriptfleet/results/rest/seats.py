"""Seats: how many requests may wait or follow at once, so that they leave threads for all others."""

import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from anyio.to_thread import current_default_thread_limiter
from fastapi import FastAPI

from scriptfleet.results.rest.refusals import ServiceBusy

#: Those that wait for the end of a job; that follow output or the fleet; live pages; and threads for the rest.
WAITERS, FOLLOWERS, PAGES, OTHERS = 64, 128, 64, 40
THREADS = WAITERS + FOLLOWERS + PAGES + OTHERS
#: Each reads all of the history and holds a connection of the database: they are among the rest.
EXPORTERS = 4


class Seats:
    """So many, each held while somebody waits."""

    def __init__(self, what: str, count: int) -> None:
        self._what, self._count = what, count
        self._free = threading.BoundedSemaphore(count)

    def take(self) -> None:
        """Take a seat, to be given back; raises ServiceBusy."""
        if not self._free.acquire(blocking=False):
            raise ServiceBusy(self._what, self._count)

    def give_back(self) -> None:
        """Give a seat back."""
        self._free.release()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold a seat while the block lasts; raises ServiceBusy."""
        self.take()
        try:
            yield
        finally:
            self.give_back()


@asynccontextmanager
async def enough_threads(_app: FastAPI) -> AsyncIterator[None]:
    """While the service runs, have a thread for each seat and some for all other requests."""
    current_default_thread_limiter().total_tokens = THREADS
    yield
