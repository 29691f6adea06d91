"""Why a run took as long as it did: read from what it cost alone. Each reason is a share of the whole time."""

from dataclasses import dataclass
from typing import Final

from scriptfleet.domain.usage import Usage

#: A reason that explains less of the time than this is left out.
_LEAST_SHARE: Final = 0.1
#: Shorter waits and starts are what any run has.
_LEAST_SECONDS: Final = 0.05
_CPU_BOUND: Final = 0.8
_ONE_CORE: Final = 1.2
_NEAR_LIMIT_PERCENT: Final = 90.0
_MANY_MAJOR_FAULTS: Final = 100
_WAITED: Final = "It neither computed nor was held back: it slept, or waited for others."


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason. ``seconds`` is the time it explains; None where it cannot be told."""

    kind: str
    seconds: float | None
    #: Of the time from being ready to the end, 0 to 1; None where it cannot be told.
    share: float | None
    sentence: str


def reasons(usage: Usage) -> list[Reason]:
    """Give what took the time of a run, the greatest share first; nothing where too little is known.

    Shares overlap: a run that is throttled waits for memory at the same time.
    """
    wall = usage.execution_time_seconds
    if wall is None or wall <= 0:
        return []
    whole = wall + (usage.queue_wait_seconds or 0.0)
    found = [
        _part("queue_wait", usage.queue_wait_seconds, whole, "It waited in its queue before a worker took it."),
        _part("start", usage.start_overhead_seconds, whole, "Starting took this long, before its first instruction."),
        _cpu(usage, wall, whole),
        _part("throttled", usage.cpu_throttled_seconds, whole, "A CPU quota kept it from running, all cores added up."),
        _part("cpu_stall", usage.cpu_stalled_seconds, whole, "It was ready to run and waited for a free core."),
        _part("io", usage.io_stalled_seconds, whole, "It waited for storage."),
        _part("memory_stall", usage.memory_stalled_seconds, whole, "It waited for memory to be freed."),
        _part("waiting", waiting_seconds(usage), whole, _WAITED),
        _near_limit(usage),
    ]
    return sorted((one for one in found if one), key=lambda one: -(one.share or 0.0))


def _part(kind: str, seconds: float | None, whole: float, sentence: str) -> Reason | None:
    if seconds is None or seconds < _LEAST_SECONDS or seconds / whole < _LEAST_SHARE:
        return None
    return Reason(kind, seconds, min(1.0, seconds / whole), sentence)


def _cpu(usage: Usage, wall: float, whole: float) -> Reason | None:
    cpu = usage.cpu_seconds
    if cpu is None or cpu < _CPU_BOUND * wall:
        return None
    cores = cpu / wall
    said = "It computed all the time" if cores <= _ONE_CORE else f"It computed on {cores:.1f} cores at once, on average"
    return Reason("cpu", min(cpu, wall), wall / whole, f"{said}: a faster program or core would help.")


def waiting_seconds(usage: Usage) -> float | None:
    """Give how long it neither computed nor was held back: it slept, or waited for the network or another process.

    None where CPU or wall time is not known.
    """
    if usage.cpu_seconds is None or usage.execution_time_seconds is None:
        return None
    # The kernel counts what is throttled as waiting for CPU too.
    held_back = max(usage.cpu_stalled_seconds or 0.0, usage.cpu_throttled_seconds or 0.0)
    stalls = (usage.io_stalled_seconds, usage.memory_stalled_seconds, usage.start_overhead_seconds)
    rest = usage.execution_time_seconds - usage.cpu_seconds - held_back - sum(value or 0.0 for value in stalls)
    return max(0.0, rest)


def _near_limit(usage: Usage) -> Reason | None:
    if usage.memory_percent is not None and usage.memory_percent >= _NEAR_LIMIT_PERCENT:
        said = f"It used {usage.memory_percent:.0f} % of its memory limit."
        return Reason("memory_limit", None, None, said)
    if (usage.page_faults_major or 0) >= _MANY_MAJOR_FAULTS:
        said = f"It read {usage.page_faults_major:,} pages back from disk: its memory was short, or its files cold."
        return Reason("page_faults", None, None, said)
    return None
