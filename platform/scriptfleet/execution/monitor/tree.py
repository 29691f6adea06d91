"""The port of a run's process tree, and one process in it at one moment."""

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from scriptfleet.domain.limits import Limits
from scriptfleet.domain.outcome import StopReason
from scriptfleet.execution.cgroups.group import RunGroup


class IoBytes(NamedTuple):
    """Storage I/O, as the kernel accounts it to tasks: what getrusage(2) has in blocks at the end."""

    read: int
    written: int


class Reading(NamedTuple):
    """One process at one moment."""

    #: Its own CPU time, and that of children it has waited for, seconds.
    cpu_seconds: float
    reaped_seconds: float
    rss_bytes: int
    threads: int
    #: Storage I/O of its own and of children it has waited for; None where it may not be seen.
    io: IoBytes | None = None


class ProcessFacts(NamedTuple):
    """What is told of one process beside what it uses."""

    parent_pid: int
    #: Its arguments, with NUL between them, as the system gives them.
    arguments: bytes
    #: Whether they go on.
    is_cut: bool
    #: The name that it goes by where it has no arguments.
    name: bytes
    age_seconds: float


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
    #: Never to be seen in what is told of it.
    masks: tuple[bytes, ...]
    #: ``NAME=value``: of this run's environment alone; empty where nothing tells its processes from others.
    marker: str

    def stop(self, reason: StopReason, grace_seconds: float | None = None) -> None:
        """End the run."""


class Tree(Protocol):
    """Reads every process of one run."""

    def read(self) -> Mapping[int, Reading]:
        """Give a reading of each process, by pid."""

    def ended_io(self) -> IoBytes | None:
        """Give the storage I/O of processes that have ended and that none of the run waited for; None where unknown."""

    def facts(self, pid: int) -> ProcessFacts | None:
        """Give what is told of a process that was read, or None once it is gone."""

    def open_files(self) -> int:
        """Give the descriptors open over the tree that may be seen."""

    def strayed_seconds(self) -> float:
        """Give the CPU time, as last read, of processes that neither the run nor its shim can wait for."""

    def close(self) -> None:
        """Let go of the tree once the run is over; what its shim could not reach is ended."""
