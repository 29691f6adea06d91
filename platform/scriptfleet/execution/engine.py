"""The engine: runs plans on shims, watched by one sampler. One per process; safe to use from many threads."""

import math
import threading
from collections.abc import Callable
from typing import Any, Final

from scriptfleet.domain.limits import Limits
from scriptfleet.domain.outcome import StopReason
from scriptfleet.errors import EngineFailed
from scriptfleet.execution.launcher import Launcher, Line
from scriptfleet.execution.monitor.sampler import Sampler, Watched
from scriptfleet.execution.plan import Account, Ended, Plan, StreamCount


class CouldNotStart(EngineFailed):
    """The program could not be executed: missing, not executable, or its folder is gone."""


class Supervisor(EngineFailed):
    """The process that watched the run was killed while it ran."""


class Running:
    """A run that has started: its orders go through here, from any thread."""

    def __init__(self, line: Line, plan: Plan, started: dict[str, Any]) -> None:
        self._line, self._grace = line, plan.grace_seconds
        self.limits: Limits = plan.limits
        self.shim_pid = line.shim_pid
        self.main_pid: int = started["pid"]
        #: CLOCK_MONOTONIC and wall clock of the start.
        self.started_at: float = started["started_at"]
        self.started_wall: float = started["started_wall"]
        #: Readings so far.
        self.watched: Watched | None = None

    def stop(self, reason: StopReason, grace_seconds: float | None = None) -> None:
        """End the run: TERM to its tree, KILL after the grace. The first reason stands."""
        grace = self._grace if grace_seconds is None else grace_seconds
        self._order({"op": "stop", "reason": str(reason), "grace": grace})

    def extend_lease(self, until: float) -> None:
        """Let the run go on until this CLOCK_MONOTONIC moment."""
        self._order({"op": "lease", "until": until})

    def _order(self, message: dict[str, Any]) -> None:
        try:
            self._line.send(message)
        except EngineFailed:
            # The run's own thread finds the shim gone and reports it; an order more or less changes nothing.
            return


class Engine:
    """Keeps shims from run to run: as many as there were runs at once."""

    _LOST: Final = "the process that watched the script was killed"

    def __init__(self, interval_seconds: float | None = None, inherit_stdio: bool = False) -> None:
        """Sample every ``interval_seconds``; None means densely at first, then once a second."""
        self._launcher = Launcher(inherit_stdio)
        self._sampler = Sampler(interval_seconds)
        self._idle: list[Line] = []
        self._guard = threading.Lock()

    def warm_up(self, count: int) -> None:
        """Have this many shims ready before the first run."""
        lines = [self._take() for _ in range(count)]
        for line in lines:
            self._give_back(line)

    def run(self, plan: Plan, on_start: Callable[[Running], None] | None = None) -> tuple[Ended, Watched]:
        """Run a plan to its end; blocks. ``on_start`` gets the run once it has started.

        Raises CouldNotStart when the program cannot be executed, Supervisor when the shim was killed.
        """
        line = self._take()
        is_sound = False
        try:
            outcome = self._run_on(line, plan, on_start)
            is_sound = True
        except CouldNotStart:
            is_sound = True
            raise
        finally:
            if is_sound:
                self._give_back(line)
            else:
                line.close()
        return outcome

    def close(self) -> None:
        """End every shim, what they still run, and the launcher."""
        self._sampler.close()
        with self._guard:
            for line in self._idle:
                line.close()
            self._idle.clear()
        self._launcher.close()

    def _run_on(self, line: Line, plan: Plan, on_start: Callable[[Running], None] | None) -> tuple[Ended, Watched]:
        line.send(_request(plan))
        first = self._next(line)
        if first["event"] == "failed":
            raise CouldNotStart(f"cannot execute {plan.argv[0]}: {first['reason']}")
        running = Running(line, plan, first)
        with self._sampler.watching(running, first["first"]) as watched:
            running.watched = watched
            if on_start is not None:
                on_start(running)
            ended = _ended(self._next(line), running.started_wall)
        watched.close(ended)
        return ended, watched

    def _next(self, line: Line) -> dict[str, Any]:
        message = line.receive()
        if message is None:
            raise Supervisor(self._LOST)
        return message

    def _take(self) -> Line:
        with self._guard:
            if self._idle:
                return self._idle.pop()
        return self._launcher.new_shim()

    def _give_back(self, line: Line) -> None:
        with self._guard:
            self._idle.append(line)


def _request(plan: Plan) -> dict[str, Any]:
    limits = plan.limits
    return {
        "op": "run",
        "argv": list(plan.argv),
        "env": plan.env,
        "cwd": str(plan.cwd),
        "stdout": str(plan.stdout),
        "stderr": str(plan.stderr),
        "cap_bytes": limits.output_bytes,
        "timeout": plan.timeout_seconds,
        "grace": plan.grace_seconds,
        "lease_until": plan.lease_until,
        "echo": plan.echo,
        "stdin": plan.stdin,
        "limits": _kernel_limits(limits),
    }


def _kernel_limits(limits: Limits) -> dict[str, float]:
    known = {
        # One process may use what the tree may; the sampler adds up the tree.
        "cpu_seconds": None if limits.cpu_seconds is None else math.ceil(limits.cpu_seconds),
        "open_files": limits.open_files,
        "file_size_bytes": limits.file_size_bytes,
    }
    return {name: value for name, value in known.items() if value is not None}


def _ended(report: dict[str, Any], started_wall: float) -> Ended:
    usage = report["usage"]
    return Ended(
        status=report["status"],
        stopped=StopReason(report["reason"]) if report["reason"] else None,
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
        orphans_ended=report["orphans_ended"],
        stdout=StreamCount(**report["stdout"]),
        stderr=StreamCount(**report["stderr"]),
    )
