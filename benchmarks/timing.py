"""Samples of time, and what is said of them."""

import math
import statistics
import time
from collections.abc import Callable, Sequence

from benchmarks.figure import Figure, at_most


def seconds_of(action: Callable[[], object]) -> float:
    """Give the wall time of one call."""
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def interleaved(actions: Sequence[Callable[[], object]], rounds: int) -> list[list[float]]:
    """Time the actions in turn, so that noise of the machine meets all alike; give each one's seconds."""
    samples: list[list[float]] = [[] for _ in actions]
    for _ in range(rounds):
        for action, kept in zip(actions, samples, strict=True):
            kept.append(seconds_of(action))
    return samples


def percentile(samples: Sequence[float], percent: float) -> float:
    """Give the sample that so many percent do not exceed (nearest rank)."""
    return sorted(samples)[max(0, math.ceil(len(samples) * percent / 100) - 1)]


def median_ms(samples: Sequence[float]) -> float:
    """Give the median of seconds, in milliseconds."""
    return statistics.median(samples) * 1000


def answer_figure(name: str, taken_ms: Sequence[float], limit_ms: float | None, **detail: float) -> Figure:
    """Give how long answers took: the 95th percentile, which the budget is for, beside the median."""
    median = statistics.median(taken_ms)
    whole = {"times": len(taken_ms), "slowest_ms": max(taken_ms), **detail}
    budget = None if limit_ms is None else at_most(limit_ms)
    return Figure(name, percentile(taken_ms, 95), "ms", budget, "p50", median, whole)
