"""One job of ``run``: its attempts on this machine, one after the other, as its retry policy wants them."""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from scriptfleet.cli.loading import loading
from scriptfleet.cli.tool_log import log
from scriptfleet.config import Settings
from scriptfleet.domain.ids import new_job_id
from scriptfleet.domain.job import JobSpec
from scriptfleet.domain.state import State
from scriptfleet.domain.value import value
from scriptfleet.execution.engine import Engine
from scriptfleet.execution.local import run_local
from scriptfleet.execution.workspace import Workspace

if TYPE_CHECKING:
    from scriptfleet.domain.run import RunRecord


class History(Protocol):
    """Where a job and its attempts are kept."""

    def submitted(self, job_id: str, spec: JobSpec, at: float) -> None:
        """Note the job, and when it was asked for, seconds since the epoch."""

    def keep(self, record: "RunRecord", workspace: Workspace, claimed_at: float, state: State) -> None:
        """Keep an attempt that has ended; ``state`` is the job's now, ``claimed_at`` seconds since the epoch."""

    def cancelled(self, job_id: str, reason: str) -> None:
        """Keep that the job ended between two attempts."""


@value(frozen=True, slots=True)
class JobEnd:
    """How the job ended: usually as its last run, but cancelled where it was interrupted between two."""

    state: State
    #: Of its last run.
    record: "RunRecord"


class LocalJob:
    """Runs a job to its end."""

    def __init__(
        self,
        spec: JobSpec,
        script: Path | None,
        settings: Settings,
        engine: Engine,
        open_history: Callable[[], History] | None,
        echo: bool,
    ) -> None:
        """With ``open_history`` it is kept there; that is called while the first script runs."""
        self._spec, self._script, self._settings = spec, script, settings
        self._engine, self._open_history, self._echo = engine, open_history, echo
        self._history: History | None = None
        self._job_id = new_job_id()
        self._began, self._began_wall = time.monotonic(), time.time()
        self._claimed_at = 0.0
        #: How many attempts ran out of memory.
        self._out_of_memory = 0
        #: Until the next attempt, as the last one left it; None when there is to be none.
        self._delay: float | None = None
        self._last: RunRecord | None = None

    def run(self) -> JobEnd:
        """Run it, again where the policy wants that. Raises EngineFailed."""
        try:
            record = self._attempt(1)
            while self._delay is not None:
                self._tell(record, self._delay)
                threading.Event().wait(self._delay)
                record = self._attempt(record.attempt + 1)
        except KeyboardInterrupt:
            # While a run goes on an interrupt ends that run, so this one came between two.
            if self._last is None:
                raise
            return self._interrupted(self._last)
        return JobEnd(record.outcome, record)

    def _attempt(self, attempt: int) -> "RunRecord":
        self._claimed_at = time.time()
        log.debug("attempt %d of %s begins", attempt, self._spec.name)
        if self._spec.warm:
            # Few jobs are.
            from scriptfleet.cli.keeping import prepare  # noqa: PLC0415

            prepare(self._engine, self._spec, self._script)
        return run_local(
            self._spec.after_out_of_memory(self._out_of_memory),
            script=self._script,
            echo=self._echo,
            settings=self._settings,
            engine=self._engine,
            job_id=self._job_id,
            attempt=attempt,
            on_start=self._started,
            on_end=self._ended,
        )

    def _started(self) -> None:
        """Load what the end of the run needs, and note the job, while the script runs."""
        with loading():
            from scriptfleet.cli import screen  # noqa: F401, PLC0415

            if self._open_history is not None and self._history is None:
                self._history = self._open_history()
                self._history.submitted(self._job_id, self._spec, self._began_wall)

    def _ended(self, record: "RunRecord", workspace: Workspace) -> None:
        # What could not be started had no such moment.
        self._started()
        self._last, self._delay = record, self._next_delay(record)
        self._out_of_memory += record.outcome is State.OUT_OF_MEMORY
        log.debug("attempt %d ended: %s, CPU from %s", record.attempt, record.outcome, record.usage.cpu_method)
        if self._history is not None:
            state = record.outcome if self._delay is None else State.DELAYED
            self._history.keep(record, workspace, self._claimed_at, state)

    def _next_delay(self, record: "RunRecord") -> float | None:
        policy, usage = self._spec.retry, record.usage
        if not policy.wants(record.outcome, usage.error_type, usage.exit_code):
            return None
        # Few scripts fail.
        import random  # noqa: PLC0415

        elapsed = time.monotonic() - self._began
        return policy.next_delay(attempt=record.attempt, elapsed_seconds=elapsed, chance=random.SystemRandom())

    def _tell(self, record: "RunRecord", delay: float) -> None:
        from scriptfleet.cli.screen import cost_lines  # noqa: PLC0415

        told = cost_lines(self._spec.name, record.outcome, record.usage)
        of = f"attempt {record.attempt} of {self._spec.retry.max_attempts}"
        log.info("%s: the next in %.3g s: %s", of, delay, told)

    def _interrupted(self, last: "RunRecord") -> JobEnd:
        if self._delay is None:
            # It had ended already.
            return JobEnd(last.outcome, last)
        if self._history is not None:
            self._history.cancelled(self._job_id, "interrupted between two attempts")
        return JobEnd(State.CANCELLED, last)
