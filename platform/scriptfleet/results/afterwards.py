"""Does what follows a commit, in a thread of its own, while the next batch is stored."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor


class Afterwards:
    """At most one thing is under way when do() is over. For one thread."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="ingest-after")
        self._last: Future[None] | None = None

    def do(self, act: Callable[[], None]) -> None:
        """Begin to do it; raises what the last thing raised, once that is over."""
        last, self._last = self._last, self._pool.submit(act)
        if last is not None:
            last.result()

    def settle(self) -> None:
        """Wait until nothing is under way; raises what it raised."""
        last, self._last = self._last, None
        if last is not None:
            last.result()

    def close(self) -> None:
        """End the thread; raises what was under way raised."""
        self._pool.shutdown()
        self.settle()
