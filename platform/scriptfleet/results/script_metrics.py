"""Numbers of each script for Prometheus: the first scripts to come have series of their own, up to a cap.

They keep them while the process lives, and all others count under one name, so that no counter ever goes down and
memory is bounded. That name has counters alone: the last run of many scripts says nothing of any.
"""

import threading
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from scriptfleet.domain.state import State
from scriptfleet.domain.terminal_text import clean_line
from scriptfleet.results.run_amounts import RunAmounts

#: Scripts beyond the cap; a script of this name counts with them.
OTHER: Final = "other"
_UNKNOWN: Final = "unknown"
#: Longer names are cut; those that begin alike count as one.
_LONGEST: Final = 128
#: So many names are remembered with the label that they have.
_NAMES: Final = 1024


@dataclass(slots=True)
class _Script:
    outcomes: Counter[str] = field(default_factory=Counter)
    duration_seconds: float = 0.0
    cpu_seconds: float = 0.0
    #: Seconds since the epoch, by the broker's clock; None while there was none.
    last_end: float | None = None
    last_success: float | None = None
    #: Of the run that ended last, among those of which it is known.
    last_memory_bytes: float | None = None

    def count(self, run: RunAmounts) -> None:
        self.outcomes[run.outcome] += 1
        self.duration_seconds += run.duration_seconds or 0.0
        self.cpu_seconds += run.cpu_seconds or 0.0
        if run.outcome == State.SUCCEEDED:
            self.last_success = max(run.ended_at, self.last_success or 0.0)
        # Records come late where a worker was cut off.
        if run.ended_at >= (self.last_end or 0.0):
            self.last_end = run.ended_at
            self.last_memory_bytes = self.last_memory_bytes if run.memory_bytes is None else run.memory_bytes


_COUNTERS: Final[dict[str, tuple[str, Callable[[_Script], float]]]] = {
    "duration_seconds": ("Wall time of a script's runs, together.", lambda script: script.duration_seconds),
    "cpu_seconds": ("CPU time of a script's runs, user and system, together.", lambda script: script.cpu_seconds),
}
_GAUGES: Final[dict[str, tuple[str, Callable[[_Script], float | None]]]] = {
    "last_memory_max_bytes": ("Peak memory of a script's last run.", lambda script: script.last_memory_bytes),
    "last_end_timestamp_seconds": ("When a script's last run ended.", lambda script: script.last_end),
    "last_success_timestamp_seconds": (
        "When the last of a script's runs that succeeded ended.",
        lambda script: script.last_success,
    ),
}


class ScriptMetrics(Collector):
    """Counts the runs of the first ``most`` scripts since this process began, and those of all others as one."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._scripts: dict[str, _Script] = {}
        self._others = _Script()
        # Counted by one thread, scraped by others.
        self._lock = threading.Lock()

    def observe(self, run: RunAmounts) -> None:
        """Count one run."""
        with self._lock:
            self._script(_label(run.name)).count(run)

    def collect(self) -> Iterable[Metric]:
        """Give all numbers of this moment."""
        with self._lock:
            counted = {**self._scripts, **({OTHER: self._others} if self._others.outcomes else {})}
            return [_runs(counted), *_counters(counted), *_gauges(self._scripts)]

    def _script(self, label: str) -> _Script:
        found = self._scripts.get(label)
        if found is None and label != OTHER and len(self._scripts) < self._most:
            found = self._scripts[label] = _Script()
        return found or self._others


@lru_cache(_NAMES)
def _label(name: object) -> str:
    return clean_line(name, _LONGEST) or _UNKNOWN if isinstance(name, str) else _UNKNOWN


def _runs(scripts: dict[str, _Script]) -> Metric:
    runs = CounterMetricFamily(
        "scriptfleet_script_runs", "Runs of a script whose record was stored.", labels=["script", "outcome"]
    )
    for label, script in scripts.items():
        for outcome, count in script.outcomes.items():
            runs.add_metric([label, outcome], count)
    return runs


def _counters(scripts: dict[str, _Script]) -> Iterable[Metric]:
    for name, (what, value_of) in _COUNTERS.items():
        family = CounterMetricFamily(f"scriptfleet_script_{name}", what, labels=["script"])
        for label, script in scripts.items():
            family.add_metric([label], value_of(script))
        yield family


def _gauges(scripts: dict[str, _Script]) -> Iterable[Metric]:
    for name, (what, value_of) in _GAUGES.items():
        family = GaugeMetricFamily(f"scriptfleet_script_{name}", what, labels=["script"])
        for label, script in scripts.items():
            value = value_of(script)
            if value is not None:
                family.add_metric([label], value)
        yield family
