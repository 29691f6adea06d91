"""Runs that this worker has claimed and not reported yet: what heartbeat, live output and orders to stop act on."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from scriptfleet.domain.outcome import StopReason
from scriptfleet.execution.engine import Running
from scriptfleet.execution.reports import Progress
from scriptfleet.execution.workspace import Workspace
from scriptfleet.queues.claims import SHORTEST_LEASE_SECONDS, Claim, lease_seconds

#: The shim's deadline is this much before the server's, so that no two runs of a job overlap.
LEASE_MARGIN_SECONDS: Final = 1.0


class ActiveRun:
    """One claimed run. Moments are CLOCK_MONOTONIC."""

    def __init__(self, claim: Claim, workspace: Workspace, asked_at: float) -> None:
        self.claim, self.workspace = claim, workspace
        self.claimed_at = asked_at
        #: Bytes of each stream that went to the live output.
        self.sent = {"stdout": 0, "stderr": 0}
        #: What the script last said of how far it is.
        self.progress: Progress | None = None
        self._lock = threading.Lock()
        self._running: Running | None = None
        self._stop: StopReason | None = None
        self._is_over = False
        self.lease_until = self.renew_at = 0.0
        self.renewed(asked_at, SHORTEST_LEASE_SECONDS)

    @property
    def lease_seconds(self) -> float:
        """The lease that fits its age now."""
        return lease_seconds(time.monotonic() - self.claimed_at)

    @property
    def running(self) -> Running | None:
        """The started run, or None before and after."""
        return None if self._is_over else self._running

    def has_news(self) -> bool:
        """Read what the script reported since the last look; tell whether its progress is another now."""
        before = self.progress
        self.while_it_runs(self._look_at_reports)
        return self.progress != before

    def _look_at_reports(self) -> None:
        self.progress = self.workspace.reports.look()

    def while_it_runs(self, look: Callable[[], None]) -> None:
        """Call what looks into its workspace, unless it is over: then that may be another run's any moment."""
        with self._lock:
            if self._running is not None:
                look()

    def renewed(self, asked_at: float, seconds: float) -> None:
        """Note a lease that the server granted no earlier than ``asked_at``, and tell the shim."""
        self.lease_until = asked_at + seconds - LEASE_MARGIN_SECONDS
        self.renew_at = asked_at + seconds / 3
        with self._lock:
            if self._running is not None:
                self._running.extend_lease(self.lease_until)

    def started(self, running: Running) -> None:
        """Note the start; what was asked for before it happens now."""
        with self._lock:
            self._running = running
            running.extend_lease(self.lease_until)
            if self._stop is not None:
                running.stop(self._stop)

    def stop(self, reason: StopReason, longest_grace: float | None = None) -> None:
        """End the run, or keep it from starting for long; between TERM and KILL is its own grace, or less."""
        with self._lock:
            self._stop = self._stop or reason
            if self._running is not None and not self._is_over:
                own = self._running.grace_seconds
                self._running.stop(reason, own if longest_grace is None else min(own, longest_grace))

    def over(self) -> None:
        """Note that the script has ended: its slot's shim belongs to another run from now on, its workspace soon."""
        with self._lock:
            self._is_over = True
            self._running = None


class ActiveRuns:
    """All of them, by run id; safe from any thread."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._runs: dict[str, ActiveRun] = {}
        #: Why no run may go on any more, or come: the reason and the longest grace.
        self._end: tuple[StopReason, float] | None = None

    @contextmanager
    def entered(self, claim: Claim, workspace: Workspace, asked_at: float) -> Iterator[ActiveRun]:
        """Hold the run while the block lasts."""
        run = ActiveRun(claim, workspace, asked_at)
        with self._guard:
            self._runs[claim.run_id] = run
        if self._end is not None:
            # It was claimed just before all were told to end.
            run.stop(*self._end)
        try:
            yield run
        finally:
            with self._guard:
                del self._runs[claim.run_id]

    def all(self) -> list[ActiveRun]:
        """Give the runs as they are now."""
        with self._guard:
            return list(self._runs.values())

    def stop_all(self, reason: StopReason, longest_grace: float) -> None:
        """End every run, also those that were claimed and are not here yet."""
        self._end = (reason, longest_grace)
        for run in self.all():
            run.stop(reason, longest_grace)

    def of_job(self, job_id: str) -> list[ActiveRun]:
        """Give the runs of a job; normally one at most."""
        return [run for run in self.all() if run.claim.job_id == job_id]

    def __len__(self) -> int:
        return len(self._runs)
