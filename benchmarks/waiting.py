"""Waiting for a condition with a deadline, so that every benchmark is bounded in time."""

import time
from collections.abc import Callable

from benchmarks.figure import BenchmarkFailed


def until(condition: Callable[[], object], what: str, within: float = 20.0, every: float = 0.01) -> None:
    """Ask every so many seconds until the condition is true. Raises BenchmarkFailed after ``within`` seconds."""
    deadline = time.monotonic() + within
    while not condition():
        if time.monotonic() > deadline:
            raise BenchmarkFailed(f"gave up after {within:g} s: {what}")
        time.sleep(every)
