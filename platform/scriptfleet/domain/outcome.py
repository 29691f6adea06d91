"""Why a run ended: read from how its process ended and from who ended it."""

import re
from enum import StrEnum
from typing import NamedTuple

from scriptfleet.domain.state import State

#: Error type of a run that was given back because its worker was told to stop: no loss, and no fault of the script.
DRAINED = "WorkerDrained"


class StopReason(StrEnum):
    """Who ended a run before it ended by itself."""

    TIMEOUT = "timeout"
    CANCELLED = "cancelled"
    MEMORY = "memory"
    CPU_TIME = "cpu_time"
    PROCESSES = "processes"
    LEASE = "lease"
    SHUTDOWN = "shutdown"


class Verdict(NamedTuple):
    """The outcome of a run and, unless it succeeded, its error in two forms."""

    outcome: State
    error_type: str | None = None
    error_message: str | None = None


#: The last line of a Python traceback: a dotted name, then perhaps a message.
_EXCEPTION = r"^(?P<type>[A-Za-z_][\w.]*)(?:: (?P<message>.*))?$"

_STOPPED: dict[StopReason, tuple[State, str, str]] = {
    StopReason.TIMEOUT: (State.TIMED_OUT, "Timeout", "over its time limit"),
    StopReason.CANCELLED: (State.CANCELLED, "Cancelled", "cancelled while it ran"),
    StopReason.MEMORY: (State.OUT_OF_MEMORY, "MemoryLimit", "over its memory limit"),
    StopReason.CPU_TIME: (State.FAILED, "CpuTimeLimit", "over its CPU time limit"),
    StopReason.PROCESSES: (State.FAILED, "ProcessLimit", "over its limit of processes"),
    StopReason.LEASE: (State.LOST, "WorkerLost", "its worker could not renew the lease in time"),
    StopReason.SHUTDOWN: (State.LOST, DRAINED, "its worker shut down"),
}


def judge(exit_code: int, signum: int | None, stopped: StopReason | None, detail: str, stderr_tail: str) -> Verdict:
    """Tell the outcome.

    ``stopped`` is who ended the run, or None; ``detail`` is the limit or time to name; ``stderr_tail`` is the end of
    what the script wrote to standard error, from which a Python exception is read.
    """
    if stopped is not None:
        outcome, kind, what = _STOPPED[stopped]
        return Verdict(outcome, kind, f"{what}{f': {detail}' if detail else ''}")
    if signum is not None:
        name = signal_name(signum)
        return Verdict(State.FAILED, name, f"ended by {name}")
    if exit_code == 0:
        return Verdict(State.SUCCEEDED)
    return _failed(exit_code, stderr_tail)


def signal_name(signum: int) -> str:
    """Give a signal's name, such as SIGSEGV."""
    # Few runs end by one.
    import signal  # noqa: PLC0415

    try:
        return signal.Signals(signum).name
    except ValueError:
        return f"signal {signum}"


def _failed(exit_code: int, stderr_tail: str) -> Verdict:
    lines = [line for line in stderr_tail.splitlines() if line.strip()]
    last = lines[-1].strip()[:500] if lines else ""
    found = re.match(_EXCEPTION, last) if "Traceback (most recent call last)" in stderr_tail else None
    if found:
        return Verdict(State.FAILED, found["type"], last)
    return Verdict(State.FAILED, "ExitCode", f"exit code {exit_code}{f': {last}' if last else ''}")
