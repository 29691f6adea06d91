"""One run as its shim sees it: a state machine over the script's exit, its orphans, deadlines and orders to stop."""

from __future__ import annotations

import os
import resource
import select
import sys
import time

from scriptfleet.execution.shim import signals
from scriptfleet.execution.shim.capture import Capture
from scriptfleet.execution.shim.first_look import first_look
from scriptfleet.execution.shim.reach import Subreaper
from scriptfleet.execution.shim.spawn import spawn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from scriptfleet.execution.shim.first_line import FirstLine
    from scriptfleet.execution.shim.reach import Reach

#: What the script left running gets so long between TERM and KILL once the script itself has ended.
_ORPHAN_GRACE_SECONDS = 0.5
#: Between KILL and the next, for what was being created at that moment.
_KILL_AGAIN_SECONDS = 0.05
#: What has ended is looked for as often even if nothing is told of it: whatever becomes of a signal, no run hangs.
_LOOK_SECONDS = 1.0
_IS_LINUX = sys.platform == "linux"


class Tracked:
    """A run from start to end. ``step`` moves it on after every wake-up."""

    def __init__(self, request: dict[str, Any], is_portable: bool = False) -> None:
        """With ``is_portable`` without what only Linux offers; this process is no subreaper then."""
        self._request, self._is_portable = request, is_portable
        self._reach: Reach = Subreaper()
        self.lease_until: float | None = request["lease_until"]
        self._main_pid = 0
        self._counters: int | None = None
        self._first_line = _first_line() if request["is_warm"] else None
        self._status: int | None = None
        self._ended_at = self._ended_wall = 0.0
        self._reason = ""
        self._grace = float(request["grace"])
        self._kill_at: float | None = None
        self._usages: list[resource.struct_rusage] = []
        self._has_children = True
        #: Processes that have had their TERM.
        self._told: set[int] = set()
        self._orphans_ended = 0
        self._is_script_over = False
        self._own_seconds = 0.0

    def start(self) -> dict[str, Any] | None:
        """Start the script; give None, or why it could not be started."""
        request = self._request
        echo = (1, 2) if request["echo"] else (None, None)
        self.captures = [
            Capture(request[name], request["cap_bytes"], fd, request["masks"])
            for name, fd in zip(("stdout", "stderr"), echo, strict=True)
        ]
        try:
            self._main_pid, self._counters = self._spawn_in_group()
        except OSError as fault:
            for capture in self.captures:
                capture.finish()
            return {"errno": fault.errno or 0, "reason": fault.strerror or str(fault)}
        if self._is_portable:
            self._reach = _groups(self._main_pid)
        self._look_at = self._started_at + _LOOK_SECONDS
        timeout = request["timeout"]
        self._deadline = None if timeout is None else self._started_at + timeout
        return None

    def _spawn_in_group(self) -> tuple[int, int | None]:
        """Start the script from inside its control group: a child is born where its parent is, so nothing is missed."""
        if not self._request["enter"]:
            return self._spawn()
        before = time.process_time()
        try:
            for path in self._request["enter"]:
                _write(path, "0")
            return self._spawn()
        finally:
            for path in self._request["home"]:
                _write(path, "0")
            self._own_seconds = time.process_time() - before
            for path, content in self._request["after_start"]:
                _write(path, content)

    def _spawn(self) -> tuple[int, int | None]:
        # Entering a group may take the kernel some 10 ms, which are not the script's.
        self._started_wall, self._started_at = time.time(), time.monotonic()
        return spawn(self._request, self.captures[0].write_fd, self.captures[1].write_fd, self._first_line)

    def started(self) -> dict[str, Any]:
        """Give the facts of the start, with a first reading of the process."""
        return {
            "pid": self._main_pid,
            "started_at": self._started_at,
            "started_wall": self._started_wall,
            "first": first_look(self._main_pid),
        }

    def milliseconds_to_next(self) -> float:
        """Give how long nothing needs to be done unless something happens."""
        soonest = self._look_at
        for at in (self._deadline, self.lease_until, self._kill_at):
            if at is not None and at < soonest:
                soonest = at
        now = time.monotonic()
        if self._is_script_over and self._reach.look_seconds is not None:
            soonest = min(soonest, now + self._reach.look_seconds)
        return max(0.0, soonest - now) * 1000 + 1

    def is_over(self) -> bool:
        """Tell whether the script and all it started are gone."""
        return not self._has_children

    def stop(self, reason: str, grace_seconds: float) -> None:
        """End the run politely; the first reason given stands."""
        if self._status is not None:
            return
        self._reason = self._reason or reason
        self._end_tree(grace_seconds)

    def kill_now(self) -> None:
        """End the run at once and wait until nothing of it is left."""
        self._reason = self._reason or "lease"
        while self._has_children:
            self._reach.kill()
            self._reap()
            if self._has_children:
                select.select([], [], [], _KILL_AGAIN_SECONDS)

    def step(self, may_have_ended: bool = True) -> None:
        """Reap what has ended, and act on what is due. Without ``may_have_ended`` nothing was told of an end."""
        now = time.monotonic()
        if may_have_ended or now >= self._look_at or self._reach.look_seconds is not None:
            self._look_at = now + _LOOK_SECONDS
            self._reap()
        if not self._has_children:
            return
        if self._status is not None and not self._is_script_over:
            self._is_script_over = True
            self._end_orphans(now)
        self._act_on_deadlines(now)

    def finish(self) -> dict[str, Any]:
        """Close the output and give the whole account of the run."""
        for capture in self.captures:
            capture.finish()
        return {
            "status": self._status,
            "reason": self._reason,
            "seconds": self._ended_at - self._started_at,
            "first_line_seconds": self._first_line and self._first_line.seconds_after(self._started_at),
            "ended_at": self._ended_at,
            "ended_wall": self._ended_wall,
            "usage": self._account(),
            "own_seconds": self._own_seconds,
            # Now, not before the start: what the script inherited was this process's peak at that moment, or less.
            "own_peak_kb": _peak_kb(resource.getrusage(resource.RUSAGE_SELF)),
            "orphans_ended": self._orphans_ended,
            "network": self._network(),
            "stdout": self.captures[0].counts(),
            "stderr": self.captures[1].counts(),
        }

    def _network(self) -> tuple[int, int] | None:
        """Read the run's own network for the last time: its counters outlive its processes, not this descriptor."""
        if self._counters is None:
            return None
        # Loaded by now: few runs have a network of their own.
        from scriptfleet.execution.shim.isolate import network_bytes  # noqa: PLC0415

        try:
            return network_bytes(self._counters)
        finally:
            os.close(self._counters)

    def _act_on_deadlines(self, now: float) -> None:
        if self._kill_at is not None and self.lease_until is not None and now >= self.lease_until:
            # However much grace it was given: its job may start elsewhere any moment.
            self._kill_at, self.lease_until = now, None
        if self._kill_at is not None:
            if now >= self._kill_at:
                self._reach.kill()
                self._kill_at = now + _KILL_AGAIN_SECONDS
        elif self._deadline is not None and now >= self._deadline:
            self._reason = self._reason or "timeout"
            self._end_tree(self._grace)
        elif self.lease_until is not None and now >= self.lease_until:
            self._reason = self._reason or "lease"
            self._end_tree(0.0)

    def _end_tree(self, grace_seconds: float) -> None:
        kill_at = time.monotonic() + grace_seconds
        if self._kill_at is not None:
            # Asked again, and perhaps with less patience.
            self._kill_at = min(self._kill_at, kill_at)
            return
        self._told = self._reach.signal(signals.SIGTERM)
        # A stopped process would not see the TERM.
        self._reach.signal(signals.SIGCONT)
        self._kill_at = kill_at
        self._deadline = None

    def _end_orphans(self, now: float) -> None:
        """End what the script left behind, also what it started after it was told to end."""
        self._orphans_ended = len(self._reach.signal(signals.SIGTERM, spared=self._told))
        if self._kill_at is None:
            self._kill_at = now + _ORPHAN_GRACE_SECONDS

    def _reap(self) -> None:
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                self._has_children = self._reach.is_left()
                return
            if pid == 0:
                return
            self._usages.append(usage)
            if pid == self._main_pid:
                self._status = status
                self._ended_at, self._ended_wall = time.monotonic(), time.time()

    def _account(self) -> dict[str, Any]:
        """Add up what the kernel accounted for everything this shim waited for; see getrusage(2)."""
        account = _accounted(self._usages[0])
        for usage in self._usages[1:]:
            for name, amount in _accounted(usage).items():
                account[name] = max(account[name], amount) if name == "peak_kb" else account[name] + amount
        # Linux counts in blocks of 512 bytes, others count operations of any size.
        return account if _IS_LINUX else {**account, "blocks_in": None, "blocks_out": None}


def _accounted(usage: resource.struct_rusage) -> dict[str, Any]:
    return {
        "user": usage.ru_utime,
        "system": usage.ru_stime,
        "peak_kb": _peak_kb(usage),
        "minor_faults": usage.ru_minflt,
        "major_faults": usage.ru_majflt,
        "voluntary": usage.ru_nvcsw,
        "involuntary": usage.ru_nivcsw,
        "blocks_in": usage.ru_inblock,
        "blocks_out": usage.ru_oublock,
    }


def _first_line() -> FirstLine:
    # Loaded in a warm shim alone, by what it was forked from.
    from scriptfleet.execution.shim.first_line import FirstLine  # noqa: PLC0415

    return FirstLine()


def _groups(main_pid: int) -> Reach:
    # Only where it is used: what a shim holds hides the peak of scripts that hold less.
    from scriptfleet.execution.shim.groups import Groups  # noqa: PLC0415

    return Groups(main_pid)


def _peak_kb(usage: resource.struct_rusage) -> int:
    """Give the peak of resident memory; macOS gives bytes, all others KiB."""
    return usage.ru_maxrss // 1024 if sys.platform == "darwin" else usage.ru_maxrss


def _write(path: str, content: str) -> None:
    fd = os.open(path, os.O_WRONLY)
    try:
        os.write(fd, content.encode())
    finally:
        os.close(fd)
