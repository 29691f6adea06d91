"""The port of a run's process tree, and one process in it at one moment."""

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from scriptfleet.domain.limits import Limits
from scriptfleet.domain.outcome import StopReason
from scriptfleet.execution.cgroups.group import RunGroup


class Reading(NamedTuple):
    """One process at one moment."""

    #: Its own CPU time, and that of children it has waited for, seconds.
    cpu_seconds: float
    reaped_seconds: float
    rss_bytes: int
    threads: int


class Run(Protocol):
    """What watching needs of a run."""

    #: The shim, and the script's own process below it.
    shim_pid: int
    main_pid: int
    #: CLOCK_MONOTONIC and wall clock of the start, seconds.
    started_at: float
    started_wall: float
    limits: Limits
    group: RunGroup | None
    #: ``NAME=value``: of this run's environment alone; empty where nothing tells its processes from others.
    marker: str

    def stop(self, reason: StopReason, grace_seconds: float | None = None) -> None:
        """End the run."""


class Tree(Protocol):
    """Reads every process of one run."""

    def read(self) -> Mapping[int, Reading]:
        """Give a reading of each process, by pid."""

    def open_files(self) -> int:
        """Give the descriptors open over the tree that may be seen."""

    def strayed_seconds(self) -> float:
        """Give the CPU time, as last read, of processes that neither the run nor its shim can wait for."""

    def close(self) -> None:
        """Let go of the tree once the run is over; what its shim could not reach is ended."""
