"""What the engine is asked to run, and what it answers. Plain values; all paths and variables already decided."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from scriptfleet.domain.limits import Limits
from scriptfleet.domain.outcome import StopReason
from scriptfleet.execution.cgroups.group import GroupReading


class Plan(NamedTuple):
    """One process to start and the bounds it runs in."""

    #: The program's absolute path, then its arguments.
    argv: Sequence[str]
    env: dict[str, str]
    cwd: Path
    #: Where standard output and standard error are kept.
    stdout: Path
    stderr: Path
    timeout_seconds: float | None = None
    grace_seconds: float = 5.0
    limits: Limits = Limits()
    #: CLOCK_MONOTONIC moment at which the shim ends the run unless told a later one; None means never.
    lease_until: float | None = None
    #: Whether output is also passed on to the standard output and error of this process.
    echo: bool = False
    #: Never to be seen in kept or passed-on output: each stands there as ``***``.
    masks: tuple[bytes, ...] = ()
    #: ``null``, or ``inherit`` for this process's own.
    stdin: str = "null"
    #: Run ``argv[0]``, a Python script, in a fork of an interpreter that has imported these; None means by exec.
    preload: tuple[str, ...] | None = None
    #: How it is set apart from the machine, in the shim's words (isolation/capabilities.py); None means not at all.
    isolation: Mapping[str, Any] | None = None


class StreamCount(NamedTuple):
    """What one output stream amounted to."""

    size_bytes: int
    lines: int
    #: Bytes that were not kept.
    cut_bytes: int
    #: Why, where it was not the cap: such as a full disk.
    trouble: str = ""


class Account(NamedTuple):
    """The kernel's own account of everything a shim waited for: getrusage(2), summed; the peak is of one process."""

    user_seconds: float
    system_seconds: float
    peak_kb: int
    minor_faults: int
    major_faults: int
    voluntary_switches: int
    involuntary_switches: int
    #: In blocks of 512 bytes; None where the system counts something else.
    blocks_in: int | None
    blocks_out: int | None


class Ended(NamedTuple):
    """How a run ended and what it was accounted."""

    #: As wait(2) gives it.
    status: int
    #: Who ended it, or None when it ended by itself.
    stopped: StopReason | None
    #: Monotonic, from the start of the process to its end.
    seconds: float
    started_wall: float
    ended_wall: float
    account: Account
    #: Resident peak of the shim itself: an rusage peak that is not above it says nothing about the script.
    own_peak_kb: int
    #: What the run's control group says, less the shim's own share; None without a group.
    group: GroupReading | None
    #: ``cgroup2``, ``cgroup1``, ``rusage`` or ``sampled``.
    method: str
    #: Processes the script left behind, ended after it.
    orphans_ended: int
    stdout: StreamCount
    stderr: StreamCount
    #: Bytes received and sent by a network of the run's own, loopback left out; None where it had the machine's.
    network: tuple[int, int] | None = None
    #: CPU time of processes that nothing of the run waited for, as last read; counted where readings are all there is.
    strayed_seconds: float = 0.0

    @property
    def cpu_seconds(self) -> float:
        """User and system time of the whole tree: the group's where there is one, else the kernel's account."""
        if self.group is not None and self.group.cpu_seconds is not None:
            return self.group.cpu_seconds
        return self.account.user_seconds + self.account.system_seconds + self.strayed_seconds

    @property
    def signal(self) -> int | None:
        """The signal that ended the script, or None."""
        return self.status & 0x7F or None

    @property
    def exit_code(self) -> int:
        """The script's exit code; 128+N when signal N ended it."""
        return 128 + self.signal if self.signal else self.status >> 8
