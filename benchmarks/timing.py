"""Samples of time, and what is said of them."""

import math
import statistics
import time
from collections.abc import Callable, Sequence


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
