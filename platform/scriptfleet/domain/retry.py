"""When a job that failed is tried again, and how long after."""

import math
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Self

from scriptfleet.domain import check
from scriptfleet.domain.limits import MOST_MEMORY_MB
from scriptfleet.domain.state import State
from scriptfleet.domain.value import content_of, names_of, value
from scriptfleet.errors import InvalidValue

if TYPE_CHECKING:
    import random


class RetryStrategy(StrEnum):
    """How the delay grows from attempt to attempt."""

    LINEAR = "linear"
    EXPONENTIAL = "exponential"
    FIBONACCI = "fibonacci"
    EXPONENTIAL_JITTER = "exponential_jitter"


#: Outcomes that a retry can cure. A cancelled or expired job is ended on purpose.
RETRYABLE = frozenset({State.FAILED, State.TIMED_OUT, State.OUT_OF_MEMORY})


@value(frozen=True, slots=True)
class RetryPolicy:
    """A job's retry policy. Losses of a worker do not count here: they have a cap of their own."""

    #: How many runs there may be in all; 1 means no retry.
    max_attempts: int = 1
    strategy: RetryStrategy = RetryStrategy.EXPONENTIAL
    #: Delay before the second attempt, seconds.
    initial_delay: float = 1.0
    #: Longest single delay, seconds.
    max_delay: float = 60.0
    #: Factor of the exponential strategies.
    multiplier: float = 2.0
    #: No retry once this many seconds have gone since the first start; None means no such end.
    max_total_time: float | None = None
    #: Only these error types, exit codes (as text) or outcomes are retried; empty means all.
    retry_on: tuple[str, ...] = ()
    #: These are never retried.
    skip_on: tuple[str, ...] = ()
    #: After out of memory the next attempt may use so many times the memory, and again after each further one.
    oom_memory_factor: float | None = None
    #: But never more than this, MiB.
    oom_memory_max_mb: float | None = None
    #: After out of memory the next attempts go to this queue.
    oom_queue: str | None = None

    def __post_init__(self) -> None:
        check.integer("retry.max_attempts", self.max_attempts, 1, 1000)
        check.number("retry.initial_delay", self.initial_delay)
        check.number("retry.max_delay", self.max_delay)
        check.number("retry.multiplier", self.multiplier, least=1.0)
        check.optional_number("retry.max_total_time", self.max_total_time)
        check.strings("retry.retry_on", self.retry_on)
        check.strings("retry.skip_on", self.skip_on)
        self._check_memory_rule()
        if self.strategy not in set(RetryStrategy):
            raise InvalidValue("retry.strategy", self.strategy, f"one of {', '.join(RetryStrategy)}")

    def _check_memory_rule(self) -> None:
        check.optional_number("retry.oom_memory_factor", self.oom_memory_factor, least=1.0, most=1000.0, above=True)
        check.optional_number("retry.oom_memory_max_mb", self.oom_memory_max_mb, most=MOST_MEMORY_MB, above=True)
        if self.oom_queue is not None:
            check.queue_name(self.oom_queue, "retry.oom_queue")
        if self.oom_memory_max_mb is not None and self.oom_memory_factor is None:
            raise InvalidValue("retry.oom_memory_max_mb", self.oom_memory_max_mb, "oom_memory_factor beside it")
        if self.has_memory_rule and self.max_attempts == 1:
            raise InvalidValue("retry.max_attempts", 1, "2 or more: a rule for out of memory needs another attempt")
        if self.has_memory_rule and State.OUT_OF_MEMORY in self.skip_on:
            what = f"no {State.OUT_OF_MEMORY} in it, since there is a rule for what follows it"
            raise InvalidValue("retry.skip_on", ",".join(self.skip_on), what)

    @property
    def has_memory_rule(self) -> bool:
        """Whether there is a rule for what follows out of memory."""
        return self.oom_memory_factor is not None or self.oom_queue is not None

    def memory_mb(self, first_mb: float, times: int) -> float:
        """Give the memory limit, MiB, of the attempt after so many that ran out of memory: first x factor^times.

        It is capped by ``oom_memory_max_mb``.
        """
        most = self.oom_memory_max_mb or MOST_MEMORY_MB
        try:
            return min(first_mb * (self.oom_memory_factor or 1.0) ** times, most)
        except OverflowError:
            return most

    def delay_seconds(self, attempt: int, chance: "random.Random") -> float:
        """Give the delay after the attempt numbered from 0, capped by ``max_delay``.

        linear: initial x (n+1); exponential: initial x multiplier^n; fibonacci: initial x F(n+1);
        exponential_jitter: a uniform draw from the upper half of the exponential delay.
        """
        if attempt < 0:
            return 0.0
        delay = min(self.initial_delay * self._growth(attempt), self.max_delay) if self.initial_delay else 0.0
        if self.strategy is RetryStrategy.EXPONENTIAL_JITTER:
            return delay * (0.5 + chance.random() / 2)
        return delay

    def _growth(self, attempt: int) -> float:
        if self.strategy is RetryStrategy.LINEAR:
            return float(attempt + 1)
        if self.strategy is RetryStrategy.FIBONACCI:
            return float(_fibonacci(attempt + 1))
        try:
            return float(self.multiplier**attempt)
        except OverflowError:
            return math.inf

    def wants(self, outcome: State, error_type: str | None, exit_code: int | None) -> bool:
        """Tell whether this way of ending is one to retry."""
        if outcome not in RETRYABLE:
            return False
        names = {str(outcome), error_type or "", "" if exit_code is None else str(exit_code)} - {""}
        if names & set(self.skip_on):
            return False
        # A rule for out of memory is a wish to try again after it, whatever the list says of other ends.
        is_ruled = outcome is State.OUT_OF_MEMORY and self.has_memory_rule
        return is_ruled or not self.retry_on or bool(names & set(self.retry_on))

    def next_delay(self, *, attempt: int, elapsed_seconds: float, chance: "random.Random") -> float | None:
        """Give the seconds to wait after attempt number ``attempt`` (from 1), or None when no attempt is left."""
        if attempt >= self.max_attempts:
            return None
        delay = self.delay_seconds(attempt - 1, chance)
        if self.max_total_time is not None and elapsed_seconds + delay >= self.max_total_time:
            return None
        return delay

    def to_dict(self) -> dict[str, Any]:
        """Give the fields that differ from the defaults."""
        defaults = RetryPolicy()
        return {name: said for name, said in content_of(self).items() if said != getattr(defaults, name)}

    @classmethod
    def from_dict(cls, data: object) -> Self:
        """Read what to_dict wrote, or what a user gave; an unknown name is refused."""
        given = check.mapping("retry", data)
        known = set(names_of(cls))
        for name in given.keys() - known:
            raise InvalidValue("retry", name, f"one of {', '.join(sorted(known))}")
        for name in ("retry_on", "skip_on"):
            if name in given:
                given[name] = check.strings(f"retry.{name}", given[name])
        if given.get("strategy") in set(RetryStrategy):
            given["strategy"] = RetryStrategy(given["strategy"])
        return cls(**given)


def _fibonacci(n: int) -> int:
    before, here = 0, 1
    for _ in range(min(n, 90) - 1):
        before, here = here, before + here
    return here
