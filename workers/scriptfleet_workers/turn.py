"""What a slot does between two messages: for a short while it goes on with jobs that came without one."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from scriptfleet.queues.claims import Claim

#: How long a thread goes on with jobs that came without a message, before it lets Celery have its say again.
_TURN_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True)
class Taken:
    """A job that was claimed, and the CLOCK_MONOTONIC moment at which it was asked for."""

    claim: Claim
    asked_at: float


class Turn:
    """One slot's; used by its own thread alone.

    What was claimed for it stands here from that moment on, whatever becomes of the run before it.
    """

    def __init__(self, may_go_on: Callable[[], bool] = lambda: False) -> None:
        """``may_go_on`` tells whether the slot is to take another job when its run is over."""
        self._may_go_on = may_go_on
        self._taken: Taken | None = None
        self.begin()

    def begin(self) -> None:
        """Count the time from now on."""
        self._until = time.monotonic() + _TURN_SECONDS

    def goes_on(self) -> bool:
        """Tell whether another job is to be claimed."""
        return self._taken is None and time.monotonic() < self._until and self._may_go_on()

    def take(self, claim: Claim, asked_at: float) -> None:
        """Note what was claimed."""
        self._taken = Taken(claim, asked_at)

    def give(self) -> Taken | None:
        """Give what was claimed, once."""
        taken, self._taken = self._taken, None
        return taken
