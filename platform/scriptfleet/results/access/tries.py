"""How often a login may be tried: so many failures a minute from one address, and from all together."""

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

_WINDOW_SECONDS = 60.0
#: A person mistypes now and then; the rest is guessing.
MOST_OF_ONE, MOST_OF_ALL = 10, 200

#: When a try was made, and from which address.
Try = tuple[float, str]
#: Gives the newest failures since a moment (seconds since the epoch), at most so many.
Failures = Callable[[float, int], Sequence[Try]]


class Tries:
    """Counts tries within the last minute: those of this process, and failures that others noted in the database.

    Those of this process count from their beginning, so that many at once are no way around. Bounded: never more than
    MOST_OF_ALL are kept.
    """

    def __init__(self, noted: Failures, clock: Callable[[], float] = time.time) -> None:
        self._noted, self._clock, self._lock = noted, clock, threading.Lock()
        self._tries: deque[Try] = deque()

    def begin(self, address: str) -> int | None:
        """Count a try; give the seconds to wait instead where there were too many, which count no further.

        Raises StoreUnreachable.
        """
        now = self._clock()
        wait = _wait(self._noted(now - _WINDOW_SECONDS, MOST_OF_ALL), address, now)
        if wait is not None:
            return wait
        with self._lock:
            while self._tries and self._tries[0][0] <= now - _WINDOW_SECONDS:
                self._tries.popleft()
            wait = _wait(self._tries, address, now)
            if wait is None:
                self._tries.append((now, address))
            return wait

    def succeeded(self, address: str) -> None:
        """Take back the newest try of an address: it was right."""
        with self._lock:
            for at in range(len(self._tries) - 1, -1, -1):
                if self._tries[at][1] == address:
                    del self._tries[at]
                    return


def _wait(tries: Sequence[Try], address: str, now: float) -> int | None:
    """Give the seconds until so few are left that one more may be tried; None where it may be now."""
    own = sorted(at for at, of in tries if of == address)
    if len(own) >= MOST_OF_ONE:
        return _seconds_until(own[-MOST_OF_ONE], now)
    if len(tries) >= MOST_OF_ALL:
        return _seconds_until(min(at for at, _ in tries), now)
    return None


def _seconds_until(oldest: float, now: float) -> int:
    # A clock that was set back has tries of the future: they are no reason to wait for longer than a minute.
    return max(1, min(math.ceil(oldest + _WINDOW_SECONDS - now), math.ceil(_WINDOW_SECONDS)))
