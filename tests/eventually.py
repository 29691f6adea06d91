"""Waits for a condition with a deadline, so that no test sleeps for a fixed time."""

import time
from collections.abc import Callable
from typing import TypeVar

Found = TypeVar("Found")


def eventually(condition: Callable[[], Found], within: float = 60.0, every: float = 0.02) -> Found:
    """Ask until ``condition`` gives something true, or asserts nothing any more, and give what it gave.

    A condition that returns None has passed once it raises no AssertionError. After ``within`` seconds the last
    failure is raised.
    """
    deadline = time.monotonic() + within
    while True:
        try:
            found = condition()
        except AssertionError:
            if time.monotonic() > deadline:
                raise
        else:
            if found or found is None:
                return found
            if time.monotonic() > deadline:
                raise AssertionError(f"still {found!r} after {within:g} s")
        time.sleep(every)
