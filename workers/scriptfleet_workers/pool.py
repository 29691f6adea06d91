"""The pool: threads that each supervise one run. Unlike Celery's thread pool it can end a run, grow and shrink."""

import itertools
import logging
from collections.abc import Callable
from typing import Any

from celery.concurrency.base import apply_target
from celery.concurrency.thread import ApplyResult
from celery.concurrency.thread import TaskPool as ThreadPool
from celery.worker import state as worker_state

from scriptfleet.domain.outcome import StopReason
from scriptfleet_workers.member import Member

log = logging.getLogger("scriptfleet.worker")


class Applied(ApplyResult):  # type: ignore[misc]
    """A task handed to a thread."""

    def terminate(self, signum: int) -> None:
        """Nothing to do here: Celery has called the pool's terminate_job before."""


class TaskPool(ThreadPool):  # type: ignore[misc]
    """Threads with process control; `revoke(terminate=True)` and Flower's Terminate end the run's whole tree."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._tokens = itertools.count(1)
        self._jobs: dict[int, str] = {}

    def on_apply(
        self,
        target: Callable[..., Any],
        args: tuple[Any, ...] | None = None,
        kwargs: dict[str, Any] | None = None,
        callback: Callable[..., Any] | None = None,
        accept_callback: Callable[..., Any] | None = None,
        correlation_id: str = "",
        **_: Any,
    ) -> Applied:
        """Run one task in a thread. Its token stands where Celery expects the number of a process."""
        token = next(self._tokens)
        self._jobs[token] = correlation_id
        # From here on, on the thread that also asks for messages, until the thread of the run is free again.
        member = Member.current()
        member.busy_slots.add(token)

        def supervise() -> None:
            try:
                self._apply(token, target, args, kwargs, callback, accept_callback)
                # Whatever became of the first: another job may have been claimed by then.
                member.go_on()
            finally:
                self._jobs.pop(token, None)
                member.busy_slots.discard(token)
                member.slot_bell.ring()

        return Applied(self.executor.submit(supervise))

    def _apply(self, token: int, target: Callable[..., Any], *rest: Any) -> None:
        try:
            apply_target(target, *rest, getpid=lambda: token)
        except Exception:
            # The edge of the thread: nobody reads what a future keeps.
            log.exception("slot_broke job=%s", self._jobs.get(token))
        self._jobs.pop(token, None)

    def terminate_job(self, pid: int, signal: int | None = None) -> None:
        """End the run with this token: as a revoke with terminate asks, or, of a job not revoked, a cold shutdown."""
        job_id = self._jobs.get(pid)
        if job_id is not None:
            reason = StopReason.CANCELLED if job_id in worker_state.revoked else StopReason.SHUTDOWN
            Member.current().stop_here(job_id, reason)

    def on_stop(self) -> None:
        """Wait for the runs: in a warm shutdown until they end or the drain is over, in a cold one not for long."""
        if worker_state.should_terminate not in (None, False):
            self._end_runs()
        super().on_stop()

    def on_terminate(self) -> None:
        """A cold shutdown: end the runs and give their jobs back."""
        self._end_runs()
        self.executor.shutdown(cancel_futures=True)
        Member.leave()

    def _end_runs(self) -> None:
        if Member.is_joined():
            Member.current().begin_to_leave()
            Member.current().stop_all(StopReason.SHUTDOWN)

    def grow(self, n: int = 1) -> None:
        """Allow n more runs at once."""
        self._resize(self.limit + n)

    def shrink(self, n: int = 1) -> None:
        """Allow n fewer; what runs goes on."""
        self._resize(max(1, self.limit - n))

    def _resize(self, limit: int) -> None:
        self.limit = limit
        # Threads are made on demand; idle ones stay parked, and prefetch bounds what is taken.
        self.executor._max_workers = limit
        Member.current().slots = limit
