"""What one run cost: every measure of a run, under the one name it has in database, JSON, conditions and API.

A measure that a host cannot give is None, never zero. Values are stored unrounded.
"""

from operator import attrgetter
from typing import Any, Self

from scriptfleet.domain.value import field, names_of, value


@value(frozen=True, slots=True)
class Usage:
    """The measures of one run; see docs/measurement.md for what each includes."""

    #: Wall clock of start and end, ISO 8601 with offset.
    start_time: str | None = None
    end_time: str | None = None
    #: Monotonic seconds from process start to process end.
    execution_time_seconds: float | None = None
    #: The process's exit code; 128+N when signal N ended it.
    exit_code: int | None = None
    signal: int | None = None
    #: Exit 0, and no timeout, cancel or limit ended it.
    success: bool | None = None
    #: One line: what went wrong.
    error_message: str | None = None
    #: Such as ``ValueError``, ``Timeout``, ``MemoryLimit``, ``Cancelled``, ``WorkerLost``.
    error_type: str | None = None
    #: Percent of one core over the whole tree; avg is (user + system) / wall, exact.
    cpu_max: float | None = None
    cpu_avg: float | None = None
    cpu_min: float | None = None
    #: CPU seconds of the whole tree, from the kernel's accounting.
    user_time_seconds: float | None = None
    system_time_seconds: float | None = None
    #: Resident memory of the tree, MiB.
    memory_max_mb: float | None = None
    memory_avg_mb: float | None = None
    memory_min_mb: float | None = None
    #: The cgroup's peak, page cache included, MiB.
    memory_charged_max_mb: float | None = None
    #: How each group of numbers was got: cgroup2, cgroup1, rusage or sampled.
    cpu_method: str | None = None
    memory_method: str | None = None
    io_method: str | None = None
    pids_method: str | None = None
    page_faults_minor: int | None = None
    page_faults_major: int | None = None
    #: Maximum seen over the tree.
    num_threads: int | None = None
    num_fds: int | None = None
    #: Most processes at once.
    pids_count: int | None = None
    voluntary_context_switches: int | None = None
    involuntary_context_switches: int | None = None
    #: Storage I/O of the tree, bytes.
    block_io_read_bytes: int | None = None
    block_io_write_bytes: int | None = None
    #: Only where the run has a network namespace of its own.
    network_rx_bytes: int | None = None
    network_tx_bytes: int | None = None
    #: Limit in force, MiB, and the peak as a share of it, percent.
    memory_limit_mb: float | None = None
    memory_percent: float | None = None
    #: Kept from running by a CPU quota, added up over cores.
    cpu_throttled_seconds: float | None = None
    #: Time in which some process of the run waited for CPU, memory or I/O (PSI).
    cpu_stalled_seconds: float | None = None
    memory_stalled_seconds: float | None = None
    io_stalled_seconds: float | None = None
    #: Of the whole output, also of what was cut from storage.
    stdout_lines: int | None = None
    stderr_lines: int | None = None
    stdout_size_bytes: int | None = None
    stderr_size_bytes: int | None = None
    gpu_util_max: float | None = None
    gpu_memory_max_mb: float | None = None
    #: Version of the interpreter that ran the script.
    python_version: str | None = None
    platform: str | None = None
    #: From being ready to run until the start, seconds.
    queue_wait_seconds: float | None = None
    #: From the start to the script's first instruction, where known, seconds.
    start_overhead_seconds: float | None = None
    #: What the script itself reported, by name.
    custom: dict[str, float] = field(default_factory=dict)

    @property
    def cpu_seconds(self) -> float | None:
        """User and system time together."""
        if self.user_time_seconds is None or self.system_time_seconds is None:
            return None
        return self.user_time_seconds + self.system_time_seconds

    def to_dict(self) -> dict[str, Any]:
        """Give the flat record: every canonical name, None where unknown, custom measures as ``custom.<name>``."""
        flat = dict(zip(MEASURES, _ALL_OF(self), strict=True))
        return flat | {f"custom.{name}": value for name, value in self.custom.items()}

    def known(self) -> dict[str, Any]:
        """Give the flat record without what is unknown."""
        found = {name: value for name, value in zip(MEASURES, _ALL_OF(self), strict=True) if value is not None}
        return found | {f"custom.{name}": value for name, value in self.custom.items()} if self.custom else found

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Read a flat record; names of a newer version are passed over."""
        known = {name: data[name] for name in MEASURES if name in data}
        custom = {name.removeprefix("custom."): data[name] for name in data if name.startswith("custom.")}
        return cls(**known, custom=custom)


#: Every canonical name, in the order they are shown.
MEASURES: tuple[str, ...] = tuple(name for name in names_of(Usage) if name != "custom")
_ALL_OF = attrgetter(*MEASURES)
