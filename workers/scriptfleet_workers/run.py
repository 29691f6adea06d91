"""The life of a run on a worker: claim, prepare, start and watch, conclude, report. One step alone changes states."""

import logging
import random
import time
from dataclasses import dataclass
from typing import Final

from scriptfleet.config import Settings
from scriptfleet.domain.ids import new_run_id
from scriptfleet.domain.job import JobSpec
from scriptfleet.domain.run import RunRecord
from scriptfleet.domain.state import State
from scriptfleet.errors import InvalidValue
from scriptfleet.execution.conclude import Identity, not_started
from scriptfleet.execution.pipeline import Assignment, Surroundings, execute, this_host, this_platform
from scriptfleet.execution.workspace import Workspace
from scriptfleet.queues.claims import Claim, Claims
from scriptfleet.queues.signing import is_genuine
from scriptfleet_workers.active import ActiveRun, ActiveRuns
from scriptfleet_workers.reporter import Reporter

log = logging.getLogger("scriptfleet.run")

_CHANCE: Final = random.SystemRandom()


@dataclass(frozen=True, slots=True)
class NotClaimed:
    """Nothing was run: the job's state stands against it."""

    state: str


@dataclass(frozen=True, slots=True)
class Next:
    """Where a job goes after a run."""

    state: State
    delay_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Runner:
    """Runs jobs of one worker; safe to use from all threads of the pool."""

    settings: Settings
    worker: str
    claims: Claims
    around: Surroundings
    active: ActiveRuns
    reporter: Reporter

    def run_job(self, job_id: str) -> RunRecord | NotClaimed:
        """Claim the job and see it through. Gives the record, or why there is none."""
        asked_at = time.monotonic()
        claim = self.claims.claim(job_id, new_run_id())
        if isinstance(claim, str):
            log.info("not_claimed job=%s state=%s", job_id, claim)
            return NotClaimed(claim)
        log.info("run_started job=%s run=%s attempt=%d", job_id, claim.run_id, claim.attempt)
        workspace = Workspace(self.settings.home / "runs" / self.active.folder / claim.run_id)
        with self.active.entered(claim, workspace, asked_at) as active:
            spec, record = self._execute(active)
            active.over()
            then = after(spec, claim, record)
            self.reporter.report(active, record, then.state, then.delay_seconds)
        workspace.remove()
        log.info("run_%s job=%s run=%s next=%s", record.outcome, job_id, claim.run_id, then.state)
        return record

    def _execute(self, active: ActiveRun) -> tuple[JobSpec | None, RunRecord]:
        claim = active.claim
        who = Identity(
            run_id=claim.run_id,
            job_id=claim.job_id,
            attempt=claim.attempt,
            worker=self.worker,
            host=this_host(),
            platform=this_platform(),
            queue_wait_seconds=claim.waited_seconds,
        )
        try:
            spec = self._spec(claim)
            assignment = Assignment(who, spec, active.workspace, lease_until=active.lease_until)
            return spec, execute(self.around, assignment, active.started)
        except InvalidValue as fault:
            return None, not_started(who, State.REJECTED, "InvalidJob", str(fault), time.time())
        except Exception as fault:
            # The edge of the process: a fault of ours must end as the run's outcome, or the job would be lost.
            log.exception("run_broke job=%s run=%s", claim.job_id, claim.run_id)
            return None, not_started(who, State.FAILED, "InternalError", f"fault in the worker: {fault!r}", time.time())

    def _spec(self, claim: Claim) -> JobSpec:
        if not is_genuine(self.settings.signing_key, claim.job_id, claim.spec, claim.signature):
            raise InvalidValue("signature", claim.signature or "none", "one made with this fleet's signing key")
        return JobSpec.from_json(claim.spec)


def after(spec: JobSpec | None, claim: Claim, record: RunRecord) -> Next:
    """Tell where the job goes: back to the queue, to another attempt, or to its end."""
    if record.outcome is State.LOST:
        return Next(State.QUEUED)
    usage = record.usage
    if spec is not None and spec.retry.wants(record.outcome, usage.error_type, usage.exit_code):
        elapsed = claim.elapsed_seconds + (usage.execution_time_seconds or 0.0)
        delay = spec.retry.next_delay(attempt=claim.attempt, elapsed_seconds=elapsed, chance=_CHANCE)
        if delay is not None:
            return Next(State.DELAYED, delay)
    return Next(record.outcome)
