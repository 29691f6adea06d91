"""What this worker has for jobs that ask for memory: the server takes off what it has promised to them."""

from collections.abc import Iterable

from scriptfleet.queues.lane import memory_asked_mb
from scriptfleet_workers.active import ActiveRun

#: What a run asked for and what it uses, MiB.
_Promise = tuple[float, float]


def memory_offered_mb(free_mb: float | None, promises: Iterable[_Promise]) -> float | None:
    """Give what would be free if runs that asked for memory used none; None where the machine does not say.

    What a run uses above what it asked for is taken from the others.
    """
    return None if free_mb is None else free_mb + sum(min(promise) for promise in promises)


def promises_of(runs: Iterable[ActiveRun]) -> list[_Promise]:
    """Give the promises that are kept just now."""
    return [(memory_asked_mb(run.claim.lane), _used_mb(run)) for run in runs if run.claim.lane]


def _used_mb(run: ActiveRun) -> float:
    running = run.running
    last = running.watched.curve.last if running and running.watched else None
    return last.memory_mb if last else 0.0
