"""The life of a run on a worker: claim, prepare, start and watch, conclude, report. One step alone changes states."""

import json
import logging
import random
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Final

import redis

from scriptfleet.config import Settings
from scriptfleet.domain.ids import new_run_id
from scriptfleet.domain.job import JobSpec
from scriptfleet.domain.masking import mask_text
from scriptfleet.domain.outcome import DRAINED
from scriptfleet.domain.run import RunRecord
from scriptfleet.domain.state import State
from scriptfleet.errors import InvalidValue
from scriptfleet.execution.conclude import not_started
from scriptfleet.execution.engine import Running
from scriptfleet.execution.executor import has_executor
from scriptfleet.execution.identity import Identity
from scriptfleet.execution.pipeline import Assignment, Surroundings, execute, this_host
from scriptfleet.execution.workspace import Workspaces
from scriptfleet.queues.claims import Claim, Claims
from scriptfleet.queues.lane import lane_of
from scriptfleet.queues.signing import good_until, is_genuine
from scriptfleet_workers.active import ActiveRun, ActiveRuns
from scriptfleet_workers.live import LivePump
from scriptfleet_workers.report import Report
from scriptfleet_workers.reporter import STREAMS, Reporter
from scriptfleet_workers.tally import JOBS_REFUSED, RUNS, Tally
from scriptfleet_workers.task_events import TaskEvents
from scriptfleet_workers.turn import Taken, Turn

log = logging.getLogger("scriptfleet.run")

#: Longer specs are not kept once they are read, characters.
_LONGEST_KNOWN: Final = 4_096
_COMPACT: Final = json.JSONEncoder(separators=(",", ":"))
_CHANCE: Final = random.SystemRandom()


@dataclass(frozen=True, slots=True)
class NotClaimed:
    """Nothing was run: the job's state stands against it."""

    state: str


@dataclass(frozen=True, slots=True)
class Done:
    """A run that was seen through."""

    claim: Claim
    record: RunRecord


@dataclass(frozen=True, slots=True)
class Next:
    """Where a job goes after a run."""

    state: State
    delay_seconds: float = 0.0
    #: Whether giving the job back counts against the losses allowed.
    is_loss: bool = False
    #: The queue of the next attempt, where its rule names one.
    queue: str | None = None
    #: Whether the next attempt is one after out of memory.
    is_out_of_memory: bool = False
    #: The lane of the next attempt, where it needs more memory than this one.
    lane: str | None = None


@dataclass(frozen=True, slots=True)
class Runner:
    """Runs jobs of one worker; safe to use from all threads of the pool."""

    settings: Settings
    workspaces: Workspaces
    worker: str
    claims: Claims
    around: Surroundings
    active: ActiveRuns
    reporter: Reporter
    live: LivePump
    #: Gives a spec with the time limit that holds on this worker.
    limited: Callable[[JobSpec], JobSpec]
    tally: Tally
    #: Tells whether the broker has no room for curves and process trees.
    drops_samples: Callable[[], bool]

    def run_job(self, job_id: str, turn: Turn, message_list: str = "") -> Done | NotClaimed:
        """Claim the job, whose message stood in this list, and see it through.

        Where its slot's turn goes on, the next of its queue is claimed at its end.
        """
        asked_at = time.monotonic()
        try:
            claim = self.claims.claim(job_id, new_run_id(), message_list)
        except redis.RedisError as fault:
            # The tick sends the message again; a claim whose answer alone was lost runs out, and the job is rescued.
            log.warning("not_claimed job=%s reason=%s", job_id, fault)
            return NotClaimed("broker away")
        if isinstance(claim, str):
            log.info("not_claimed job=%s state=%s", job_id, claim)
            return NotClaimed(claim)
        return self.see_through(Taken(claim, asked_at), turn)

    def run_taken(self, taken: Taken, turn: Turn, events: TaskEvents) -> None:
        """See a job through that came without a message."""
        events.started(taken.claim)
        done = self.see_through(taken, turn)
        events.ended(taken.claim, done.record)

    def see_through(self, taken: Taken, turn: Turn) -> Done:
        """Run a claimed job to its end and report it; where its turn goes on, claim the next of its queue then."""
        claim = taken.claim
        workspace = self.workspaces.take(claim.run_id)
        with self.active.entered(claim, workspace, taken.asked_at) as active:
            spec, record = self._execute(active)
            active.over()
            if self.drops_samples():
                record = replace(record, curve=[], process_tree=None)
            then = after(spec, claim, record)
            self.live.finish(active)
            self.reporter.report(_report(claim, record, then), workspace.folder, turn, _written(record))
        if record.usage.exit_code is None:
            # What had to be ended from outside may still live in there.
            workspace.remove()
        else:
            self.workspaces.give_back(workspace)
        self.tally.add(RUNS, record.outcome)
        about = (record.outcome, claim.job_id, claim.run_id, claim.attempt, then.state)
        log.info("run_%s job=%s run=%s attempt=%d next=%s", *about)
        return Done(claim, record)

    def _execute(self, active: ActiveRun) -> tuple[JobSpec | None, RunRecord]:
        claim = active.claim
        who = Identity(
            run_id=claim.run_id,
            job_id=claim.job_id,
            attempt=claim.attempt,
            worker=self.worker,
            host=this_host(),
            queue_wait_seconds=claim.waited_seconds,
            queue=claim.queue,
        )
        try:
            spec = self._spec(claim)
        except InvalidValue as fault:
            self.tally.add(JOBS_REFUSED, fault.field)
            return None, not_started(who, State.REJECTED, "InvalidJob", str(fault), time.time())
        except Exception as fault:
            return None, _broken(who, fault, ())
        assignment = Assignment(who, spec, active.workspace, lease_until=lambda: active.lease_until)
        try:
            return spec, execute(self.around, assignment, partial(_started, active))
        except Exception as fault:
            return spec, _broken(who, fault, active.workspace.reports.hidden)

    def _spec(self, claim: Claim) -> JobSpec:
        self._refuse_unsigned(claim)
        if not has_executor(claim.kind):
            expected = f"a kind that worker {self.worker} has: upgrade it, or install the package that has this one"
            raise InvalidValue("kind", claim.kind, expected)
        # The rule is the signed spec's own; the server only counts.
        return self.limited(_spec_of(claim.spec).after_out_of_memory(claim.out_of_memory))

    def _refuse_unsigned(self, claim: Claim) -> None:
        key, signature = self.settings.signing_key, claim.signature
        if not is_genuine(key, claim.job_id, claim.spec, signature):
            raise InvalidValue("signature", signature or "none", "one made with this fleet's signing key")
        if key and claim.is_spent:
            raise InvalidValue("replay", claim.job_id, "a job that was not run before: this one had ended")
        if key and good_until(signature) < time.time():
            expected = "one that is still good: submit the job again (SCRIPTFLEET_SIGNATURE_HOURS is how long one is)"
            raise InvalidValue("signature age", signature, expected)


def _started(active: ActiveRun, running: Running) -> None:
    active.started(running)
    if not running.was_short:
        # What has ended by now is told of in one line, at its end.
        claim = active.claim
        log.info("run_started job=%s run=%s attempt=%d", claim.job_id, claim.run_id, claim.attempt)


def _spec_of(text: str) -> JobSpec:
    """Read a spec. Jobs of one batch or schedule often have the very same one, and it never changes."""
    return _known_spec(text) if len(text) <= _LONGEST_KNOWN else JobSpec.from_json(text)


@lru_cache(maxsize=256)
def _known_spec(text: str) -> JobSpec:
    return JobSpec.from_json(text)


def _broken(who: Identity, fault: Exception, hidden: Sequence[bytes]) -> RunRecord:
    """Make the record of a run that a fault of ours ended.

    The edge of the process: such a fault must end as the run's outcome, or the job would be lost.
    """
    story = mask_text("".join(traceback.format_exception(fault)), hidden)
    log.error("run_broke job=%s run=%s\n%s", who.job_id, who.run_id, story)
    text = mask_text(f"fault in the worker: {fault!r}", hidden)
    return not_started(who, State.FAILED, "InternalError", text, time.time())


def after(spec: JobSpec | None, claim: Claim, record: RunRecord) -> Next:
    """Tell where the job goes: back to the queue, to another attempt, or to its end."""
    if record.outcome is State.LOST:
        return Next(State.QUEUED, is_loss=record.usage.error_type != DRAINED)
    usage = record.usage
    if spec is not None and spec.retry.wants(record.outcome, usage.error_type, usage.exit_code):
        elapsed = claim.elapsed_seconds + (usage.execution_time_seconds or 0.0)
        delay = spec.retry.next_delay(attempt=claim.attempt, elapsed_seconds=elapsed, chance=_CHANCE)
        if delay is not None:
            return (
                _with_more_memory(spec, delay) if record.outcome is State.OUT_OF_MEMORY else Next(State.DELAYED, delay)
            )
    return Next(record.outcome)


def _with_more_memory(spec: JobSpec, delay_seconds: float) -> Next:
    grown = spec.after_out_of_memory(1)
    lane = None if grown.needs_memory_mb == spec.needs_memory_mb else lane_of(grown)
    return Next(State.DELAYED, delay_seconds, queue=spec.retry.oom_queue, is_out_of_memory=True, lane=lane)


def _written(record: RunRecord) -> tuple[str, ...]:
    """Name the streams that the run may have written to; where that is not known, both."""
    sizes = (record.usage.stdout_size_bytes, record.usage.stderr_size_bytes)
    return tuple(stream for stream, size in zip(STREAMS, sizes, strict=True) if size != 0)


def _report(claim: Claim, record: RunRecord, then: Next) -> Report:
    return Report(
        claim=claim,
        record=_COMPACT.encode(record.to_dict()),
        state=then.state,
        delay_seconds=then.delay_seconds,
        is_loss=then.is_loss,
        queue=then.queue,
        is_out_of_memory=then.is_out_of_memory,
        lane=then.lane,
        artifacts=tuple(artifact.sha256 for artifact in record.artifacts),
    )
