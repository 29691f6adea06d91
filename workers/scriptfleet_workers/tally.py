"""What this worker counts, for its /metrics."""

import threading
from collections import Counter
from typing import Final

#: Runs that ended, by outcome; jobs that were not run for what they are, and orders that were not obeyed, by reason.
RUNS: Final = "runs"
JOBS_REFUSED: Final = "jobs_refused"
ORDERS_REFUSED: Final = "orders_refused"


class Tally:
    """Counters by name and label; safe from any thread."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._counts: Counter[tuple[str, str]] = Counter()

    def add(self, name: str, label: str) -> None:
        """Count one."""
        with self._guard:
            self._counts[name, label] += 1

    def read(self, name: str) -> dict[str, int]:
        """Give the counts of a name by label."""
        with self._guard:
            return {label: count for (found, label), count in self._counts.items() if found == name}
