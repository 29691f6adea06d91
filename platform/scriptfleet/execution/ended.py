"""What the engine answers: how a run ended and what it was accounted. Loaded while the first script starts."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from scriptfleet.domain.limits import Limits
from scriptfleet.domain.outcome import StopReason
from scriptfleet.execution.cgroups.group import GroupReading, RunGroup
from scriptfleet.execution.cgroups.method import Method
from scriptfleet.execution.shim.signals import SIGXCPU


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
    #: From the start to the script's first line; None where only the script itself would know.
    first_line_seconds: float | None = None

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


def account_of(
    report: Mapping[str, Any], limits: Limits, group: RunGroup | None, started_wall: float, is_portable: bool
) -> Ended:
    """Give the account that a shim reported, and what the run's control group says of it."""
    usage = report["usage"]
    reading = _group_reading(group, report["own_seconds"])
    reason = report["reason"] or _limit_met(reading, report["status"], limits)
    return Ended(
        status=report["status"],
        stopped=StopReason(reason) if reason else None,
        seconds=report["seconds"],
        started_wall=started_wall,
        ended_wall=report["ended_wall"],
        account=Account(
            user_seconds=usage["user"],
            system_seconds=usage["system"],
            peak_kb=usage["peak_kb"],
            minor_faults=usage["minor_faults"],
            major_faults=usage["major_faults"],
            voluntary_switches=usage["voluntary"],
            involuntary_switches=usage["involuntary"],
            blocks_in=usage["blocks_in"],
            blocks_out=usage["blocks_out"],
        ),
        own_peak_kb=report["own_peak_kb"],
        group=reading,
        method=group.method if group else _without_group(is_portable),
        orphans_ended=report["orphans_ended"],
        stdout=StreamCount(**report["stdout"]),
        stderr=StreamCount(**report["stderr"]),
        network=report["network"],
        first_line_seconds=report["first_line_seconds"],
    )


def _without_group(is_portable: bool) -> str:
    """Name what accounted a run that has no control group, also when its making failed."""
    return str(Method.SAMPLED if is_portable else Method.RUSAGE)


def _group_reading(group: RunGroup | None, own_seconds: float) -> GroupReading | None:
    """Read the group once its processes are gone; what the shim used inside it is not the run's."""
    if group is None:
        return None
    reading = group.read()
    used = reading.cpu_seconds
    return reading if used is None else reading._replace(cpu_seconds=max(0.0, used - own_seconds))


def _limit_met(reading: GroupReading | None, status: int, limits: Limits) -> StopReason | None:
    """Tell which of the kernel's limits a run met that nobody had to end; a grandchild's death for memory counts."""
    if reading is not None and reading.oom_kills:
        return StopReason.MEMORY
    if reading is not None and reading.forks_refused and status:
        return StopReason.PROCESSES
    # The kernel's own limit of one process may be quicker than the sampler, which adds up the tree.
    if limits.cpu_seconds is not None and status & 0x7F == SIGXCPU:
        return StopReason.CPU_TIME
    return None
