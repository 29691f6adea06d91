"""A run beside the usual run of its script: where it took longer. The usual value is the median of earlier runs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from scriptfleet.domain.slowness import waiting_seconds
from scriptfleet.domain.usage import Usage

#: Of fewer runs nothing is usual.
_LEAST_RUNS: Final = 3
#: A part that neither took longer than this is left out, in seconds.
_LEAST_SECONDS: Final = 0.05
#: What takes longer by less than a quarter is nothing unusual.
_SLOW: Final = 1.25

_PARTS: Final[tuple[tuple[str, Callable[[Usage], float | None]], ...]] = (
    ("Waited in its queue", lambda usage: usage.queue_wait_seconds),
    ("Started", lambda usage: usage.start_overhead_seconds),
    ("Computed", lambda usage: usage.cpu_seconds),
    ("Kept from running by a CPU quota", lambda usage: usage.cpu_throttled_seconds),
    ("Waited for a free core", lambda usage: usage.cpu_stalled_seconds),
    ("Waited for storage", lambda usage: usage.io_stalled_seconds),
    ("Waited for memory, or swapped", lambda usage: usage.memory_stalled_seconds),
    ("Slept, or waited for others", waiting_seconds),
)


@dataclass(frozen=True, slots=True)
class Part:
    """One way in which time went, in seconds. Parts overlap: what is throttled waits for a core too."""

    what: str
    seconds: float
    usual_seconds: float

    @property
    def longer_seconds(self) -> float:
        """How much longer than usual; below zero for what took less."""
        return self.seconds - self.usual_seconds


@dataclass(frozen=True, slots=True)
class BesideUsual:
    """A run's wall time in seconds beside the usual one, and its parts, that which grew most first."""

    seconds: float
    usual_seconds: float
    #: How many runs the usual one was made of.
    runs: int
    parts: list[Part]

    @property
    def is_slow(self) -> bool:
        """Whether it took longer than is usual."""
        return self.seconds > self.usual_seconds * _SLOW and self.seconds - self.usual_seconds > _LEAST_SECONDS

    @property
    def ratio(self) -> float:
        """How many times the usual time it took; above zero."""
        return self.seconds / self.usual_seconds


def beside_usual(usage: Usage, earlier: Sequence[Usage]) -> BesideUsual | None:
    """Compare a run with earlier ones of its script; None where it, or too many of them, lack a wall time."""
    walls = [one.execution_time_seconds for one in earlier if one.execution_time_seconds]
    if not usage.execution_time_seconds or len(walls) < _LEAST_RUNS:
        return None
    parts = [part for what, read in _PARTS if (part := _part(what, read, usage, earlier)) is not None]
    parts.sort(key=lambda part: -part.longer_seconds)
    return BesideUsual(usage.execution_time_seconds, median(walls), len(walls), parts)


def _part(what: str, read: Callable[[Usage], float | None], usage: Usage, earlier: Sequence[Usage]) -> Part | None:
    seconds = read(usage)
    known = [value for one in earlier if (value := read(one)) is not None]
    if seconds is None or not known:
        return None
    part = Part(what, seconds, median(known))
    return part if max(part.seconds, part.usual_seconds) >= _LEAST_SECONDS else None
