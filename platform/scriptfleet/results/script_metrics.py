"""Numbers of each script for Prometheus: the first scripts to come have series of their own, up to a cap.

They keep them while the process lives, and all others count under one name, so that no counter ever goes down and
memory is bounded. That name has counters alone: the last run of many scripts says nothing of any.
"""

import threading
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from scriptfleet.domain.state import State
from scriptfleet.domain.terminal_text import clean_line
from scriptfleet.storage.row import Row
from scriptfleet.storage.storable import is_finite

#: Scripts beyond the cap; a script of this name counts with them.
OTHER: Final = "other"
_UNKNOWN: Final = "unknown"
#: Longer names are cut; those that begin alike count as one.
_LONGEST: Final = 128
_MIB: Final = 1024 * 1024


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

    def count(self, row: Row) -> None:
        outcome = str(row["outcome"])
        self.outcomes[outcome] += 1
        self.duration_seconds += amount(row.get("execution_time_seconds")) or 0.0
        self.cpu_seconds += amount(row.get("user_time_seconds"), row.get("system_time_seconds")) or 0.0
        ended, memory = amount(row.get("finished_at")) or 0.0, amount(row.get("memory_max_mb"), unit=_MIB)
        if outcome == State.SUCCEEDED:
            self.last_success = max(ended, self.last_success or 0.0)
        # Records come late where a worker was cut off.
        if ended >= (self.last_end or 0.0):
            self.last_end = ended
            self.last_memory_bytes = self.last_memory_bytes if memory is None else memory


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

    def observe(self, row: Row) -> None:
        """Count one run."""
        with self._lock:
            self._script(_label(row.get("name"))).count(row)

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


def amount(*parts: object, unit: int = 1) -> float | None:
    """Give the sum of parts; None unless all are known and it is an amount: finite and not below 0."""
    numbers = [float(part) for part in parts if isinstance(part, int | float)]
    value = sum(numbers)
    # One value that is not finite would make a sum useless for as long as the process lives.
    return value * unit if len(numbers) == len(parts) and is_finite(value) and value >= 0 else None


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
