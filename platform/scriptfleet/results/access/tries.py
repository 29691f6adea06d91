"""How often a login may be tried: so many failures a minute from one address, and from all together."""

import math
import threading
import time
from collections import deque
from collections.abc import Callable

_WINDOW_SECONDS = 60.0
#: A person mistypes now and then; the rest is guessing.
MOST_OF_ONE, MOST_OF_ALL = 10, 200


class Tries:
    """Counts tries within the last minute, in this process. Bounded: never more than MOST_OF_ALL are kept."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._tries: deque[tuple[float, str]] = deque()

    def begin(self, address: str) -> int | None:
        """Count a try; give the seconds to wait instead where there were too many, which count no further."""
        with self._lock:
            now = self._clock()
            while self._tries and self._tries[0][0] <= now - _WINDOW_SECONDS:
                self._tries.popleft()
            own = [at for at, of in self._tries if of == address]
            if len(own) >= MOST_OF_ONE:
                return _seconds_until(own[0], now)
            if len(self._tries) >= MOST_OF_ALL:
                return _seconds_until(self._tries[0][0], now)
            self._tries.append((now, address))
            return None

    def succeeded(self, address: str) -> None:
        """Take back the newest try of an address: it was right."""
        with self._lock:
            for at in range(len(self._tries) - 1, -1, -1):
                if self._tries[at][1] == address:
                    del self._tries[at]
                    return


def _seconds_until(oldest: float, now: float) -> int:
    return max(1, math.ceil(oldest + _WINDOW_SECONDS - now))
