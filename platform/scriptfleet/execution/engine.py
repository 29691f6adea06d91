"""The engine: runs plans on shims, watched by one sampler. One per process; safe to use from many threads."""

import itertools
import math
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from scriptfleet.domain.limits import Limits
from scriptfleet.domain.value import replace
from scriptfleet.errors import EngineFailed
from scriptfleet.execution.cgroups.method import Method, lists_children
from scriptfleet.execution.launcher import Line, Unkept
from scriptfleet.execution.launching import Started
from scriptfleet.execution.plan import Plan
from scriptfleet.execution.reports import VARIABLE
from scriptfleet.execution.shelf import Preload, Shelf, Shelves
from scriptfleet.late_log import late_log

if TYPE_CHECKING:
    from scriptfleet.domain.outcome import StopReason
    from scriptfleet.execution.cgroups.find import Found
    from scriptfleet.execution.cgroups.group import RunGroup
    from scriptfleet.execution.ended import Ended
    from scriptfleet.execution.kept.keep import Keep
    from scriptfleet.execution.monitor.sampler import Sampler
    from scriptfleet.execution.monitor.watched import Watched

log = late_log("scriptfleet.engine")

#: Of all engines of this process: the groups of their runs lie side by side.
_NUMBERS: Final = itertools.count(1)


class CouldNotStart(EngineFailed):
    """The program could not be executed: missing, not executable, or its folder is gone."""


class LeaseOver(CouldNotStart):
    """The run's lease was over before it could start: its job may have started elsewhere."""


class Supervisor(EngineFailed):
    """The process that watched the run was killed while it ran."""


class Running:
    """A run that has started: its orders go through here, from any thread."""

    def __init__(self, line: Line, plan: Plan, started: dict[str, Any], group: "RunGroup | None") -> None:
        self._line = line
        #: Between TERM and KILL, unless who ends it says otherwise.
        self.grace_seconds = plan.grace_seconds
        self.group = group
        self.limits: Limits = plan.limits
        self.shim_pid = line.shim_pid
        self.main_pid: int = started["pid"]
        self.masks = plan.masks
        #: No other run's processes have this in their environment.
        self.marker = f"{VARIABLE}={plan.env.get(VARIABLE, '')}"
        #: CLOCK_MONOTONIC and wall clock of the start.
        self.started_at: float = started["started_at"]
        self.started_wall: float = started["started_wall"]
        #: Readings so far.
        self.watched: Watched | None = None
        #: Whether its end came with the news of its start.
        self.was_short = line.has_message()
        # Reentrant: a signal handler may stop the run while this very thread gives another order.
        self._guard = threading.RLock()
        self._lease_until = plan.lease_until
        self._is_over = False

    def stop(self, reason: "StopReason", grace_seconds: float | None = None) -> None:
        """End the run: TERM to its tree, KILL after the grace. The first reason stands."""
        grace = self.grace_seconds if grace_seconds is None else grace_seconds
        self._order({"op": "stop", "reason": str(reason), "grace": grace})

    def extend_lease(self, until: float) -> None:
        """Let the run go on until this CLOCK_MONOTONIC moment."""
        if until != self._lease_until:
            self._lease_until = until
            self._order({"op": "lease", "until": until})

    def over(self) -> None:
        """Note the end: from now on the shim belongs to other runs, and orders to this one change nothing."""
        with self._guard:
            self._is_over = True

    def _order(self, message: dict[str, Any]) -> None:
        try:
            with self._guard:
                if not self._is_over:
                    self._line.send(message)
        except EngineFailed:
            # The run's own thread finds the shim gone and reports it; an order more or less changes nothing.
            return


class Engine:
    """Keeps shims from run to run."""

    _LOST: Final = "the process that watched the script was killed"

    def __init__(
        self,
        interval_seconds: float | None = None,
        inherit_stdio: bool = False,
        method: Method = Method.AUTO,
        warm_env: Mapping[str, str] | None = None,
        is_for_many: bool = False,
        keep: "Keep | None" = None,
    ) -> None:
        """Sample every ``interval_seconds``; None means densely at first, then once a second.

        Warm interpreters import what they preload in the environment ``warm_env``. With ``is_for_many`` the start takes
        some 20 ms more, and each shim less memory of its own. With ``keep`` warm interpreters stay for other processes.
        Raises EngineFailed when a ``method`` that is asked for by name is not to be had here.
        """
        self._method = method
        self._is_grouping_all = method is not Method.AUTO
        # On most machines that much is known at a glance; looking for control groups can wait for who needs one.
        is_usual = method is Method.AUTO and lists_children()
        self._is_portable = not is_usual and self.accounting.method is Method.SAMPLED
        self._shelves = Shelves(inherit_stdio, dict(warm_env or {}), self._is_portable, is_for_many, keep)
        self._interval_seconds = interval_seconds
        self._guard = threading.Lock()
        self._made_sampler: Sampler | None = None
        self._is_closed = False
        if self._is_portable:
            # Needs a package: better said now than when a script has started.
            self._sampler()

    @cached_property
    def accounting(self) -> "Found":
        """What this machine offers; looked for when the first run needs it, or the engine is warmed up."""
        # Few short runs have limits that take a control group.
        from scriptfleet.execution.cgroups.find import find_hierarchy  # noqa: PLC0415

        return find_hierarchy(self._method)

    def start_ahead(self, started: Started | None = None, preload: Preload = None) -> None:
        """Start the launcher, or use one that was ``started``; do not wait until it is ready, as the first run may.

        With ``preload`` an interpreter that is kept and has these modules is asked for the first shim.
        """
        self._shelves.of(preload).start_ahead(started)

    def prepare(self, preload: Preload) -> None:
        """Wait until the first run can start, as long as modules take to import; what is wrong is told by that run."""
        self._shelves.of(preload).prepare()

    def warm_up(self, count: int, preload: Preload = None) -> None:
        """Have this many shims ready before the first run, cold or with modules preloaded. Raises EngineFailed."""
        log.debug("accounting method=%s", self.accounting.method)
        self._sampler()
        shelf = self._shelves.of(preload)
        lines = [shelf.take() for _ in range(count)]
        for line in lines:
            shelf.give_back(line, is_sound=True)

    def run(self, plan: Plan, on_start: Callable[[Running], None] | None = None) -> "tuple[Ended, Watched]":
        """Run a plan to its end; blocks. ``on_start`` gets the run once it has started.

        Raises CouldNotStart when the program cannot be executed, LeaseOver when its lease is, Supervisor when the shim
        was killed.
        """
        shelf, line, plan = self._taken(plan)
        is_sound = False
        try:
            outcome = self._run_on(line, plan, on_start)
            is_sound = True
        except CouldNotStart:
            is_sound = True
            raise
        finally:
            shelf.give_back(line, is_sound)
        return outcome

    def close(self) -> None:
        """End every shim, what they still run, and the launcher. Runs that go on meanwhile end with Supervisor."""
        with self._guard:
            self._is_closed = True
            if self._made_sampler is not None:
                self._made_sampler.close()
        self._shelves.close()

    def _taken(self, plan: Plan) -> tuple[Shelf, Line, Plan]:
        """Take a shim for a plan, and the plan for it: a cold one where no warm interpreter can be kept."""
        shelf = self._shelves.of(plan.preload)
        try:
            return shelf, shelf.take(), plan
        except Unkept as fault:
            log.warning("started_cold reason=%s", fault)
        cold = self._shelves.cold
        return cold, cold.take(), replace(plan, argv=[sys.executable, *plan.argv], preload=None)

    def _sampler(self) -> "Sampler":
        """Give what watches the runs; made for the first one."""
        with self._guard:
            if self._made_sampler is None:
                self._made_sampler = self._new_sampler()
            return self._made_sampler

    def _new_sampler(self) -> "Sampler":
        # A script starts while this loads.
        from scriptfleet.execution.monitor.gpu import find_gpus  # noqa: PLC0415
        from scriptfleet.execution.monitor.sampler import Sampler  # noqa: PLC0415
        from scriptfleet.execution.monitor.trees import trees_for  # noqa: PLC0415

        made = Sampler(trees_for(self._is_portable), self._interval_seconds, find_gpus())
        if self._is_closed:
            made.close()
        return made

    def _run_on(self, line: Line, plan: Plan, on_start: Callable[[Running], None] | None) -> "tuple[Ended, Watched]":
        if not self._is_grouping_all and not _needs_kernel(plan.limits):
            return self._run_in(None, line, plan, on_start)
        with self._grouped(plan.limits) as group:
            return self._run_in(group, line, plan, on_start)

    def _run_in(
        self, group: "RunGroup | None", line: Line, plan: Plan, on_start: Callable[[Running], None] | None
    ) -> "tuple[Ended, Watched]":
        if plan.lease_until is not None and plan.lease_until <= time.monotonic():
            raise LeaseOver("its lease was over before it could start")
        line.send(_request(plan) | self._group_request(group))
        sampler = self._sampler()
        first = self._next(line)
        if first["event"] == "failed":
            raise CouldNotStart(f"cannot execute {plan.argv[0]}: {first['reason']}")
        running = Running(line, plan, first, group)
        if running.was_short:
            watched = sampler.missed(running, first["first"])
            ended = self._see_end(running, watched, line, on_start)
        else:
            with sampler.watching(running, first["first"]) as watched:
                ended = self._see_end(running, watched, line, on_start)
        return watched.close(ended), watched

    def _see_end(
        self, running: Running, watched: "Watched", line: Line, on_start: Callable[[Running], None] | None
    ) -> "Ended":
        running.watched = watched
        if on_start is not None:
            on_start(running)
        from scriptfleet.execution.ended import account_of  # noqa: PLC0415

        try:
            report = self._next(line)
            return account_of(report, running.limits, running.group, running.started_wall, self._is_portable)
        except Supervisor:
            from scriptfleet.execution.abandoned import end_abandoned  # noqa: PLC0415

            end_abandoned(running.group, running.main_pid)
            raise
        finally:
            running.over()

    @contextmanager
    def _grouped(self, limits: Limits) -> "Iterator[RunGroup | None]":
        """Make a run's control group, as is done where it is worth it, and delete it after.

        Entering a group waits for all CPUs to pass a quiet moment: 8 to 15 ms on an idle machine, more than a short job
        takes. wait4 accounts as exactly, so by itself the engine has a group made only where the kernel is to act.
        """
        group = self._new_group(limits)
        try:
            yield group
        finally:
            if group is not None:
                group.remove()

    def _new_group(self, limits: Limits) -> "RunGroup | None":
        if self.accounting.hierarchy is None:
            return None
        from scriptfleet.execution.cgroups.group import group_name  # noqa: PLC0415

        try:
            return self.accounting.hierarchy.make(group_name(next(_NUMBERS)), limits)
        except OSError as fault:
            # The run is still accounted, by the shim; its record says so.
            log.warning("no_group reason=%s", fault)
            return None

    def _group_request(self, group: "RunGroup | None") -> dict[str, Any]:
        if group is None or self.accounting.hierarchy is None:
            return {"enter": [], "home": [], "after_start": []}
        return {"enter": group.enter(), "home": self.accounting.hierarchy.home, "after_start": group.after_start()}

    def _next(self, line: Line) -> dict[str, Any]:
        message = line.receive()
        if message is None:
            raise Supervisor(self._LOST)
        return message


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
        "masks": list(plan.masks),
        "timeout": plan.timeout_seconds,
        "grace": plan.grace_seconds,
        "lease_until": plan.lease_until,
        "echo": plan.echo,
        "stdin": plan.stdin,
        "is_warm": plan.preload is not None,
        "isolation": dict(plan.isolation) if plan.isolation else None,
        "limits": _kernel_limits(limits),
    }


def _kernel_limits(limits: Limits) -> dict[str, float]:
    known = {
        # The sampler adds up the tree, exactly. The kernel's limit is for what the sampler is too late for, with room:
        # it counts in ticks, and on a busy machine charges a process some that others used.
        "cpu_seconds": None if limits.cpu_seconds is None else math.ceil(limits.cpu_seconds * 1.25) + 1,
        "open_files": limits.open_files,
        "file_size_bytes": limits.file_size_bytes,
    }
    return {name: value for name, value in known.items() if value is not None}


def _needs_kernel(limits: Limits) -> bool:
    """Tell whether a limit is one that only a control group makes the kernel hold over a whole tree."""
    return limits.memory_mb is not None or limits.processes is not None
