"""The worker's side of the broker: claim, renew, finish and tick, each one atomic script."""

import logging
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import redis

from scriptfleet.domain.state import State
from scriptfleet.queues.keys import Keys
from scriptfleet.queues.marks import marks_in
from scriptfleet.queues.message import template
from scriptfleet.queues.scripts import Scripts
from scriptfleet.queues.signing import seal_record

_log = logging.getLogger("scriptfleet.claims")

#: A young run's lease; it grows with the run's age, see lease_seconds.
SHORTEST_LEASE_SECONDS: Final = 15.0
LONGEST_LEASE_SECONDS: Final = 300.0
#: A job whose worker was lost more often than this is given up.
LOSSES_ALLOWED: Final = 5
#: A message that is this old and unclaimed may have been lost between Redis and a worker.
DOUBT_SECONDS: Final = 10.0
#: A worker that gave no sign of life for so long is taken off the list.
WORKER_LIFETIME_SECONDS: Final = 30.0
_MOST_PER_TICK: Final = 200


def lease_seconds(age_seconds: float) -> float:
    """Give the lease of a run of this age: half of it, between 15 s and 5 minutes.

    The longest is reached at an age of 10 minutes. A job that ran for so long can wait that long to be rescued; one
    that just began is rescued within seconds.
    """
    return min(max(SHORTEST_LEASE_SECONDS, age_seconds / 2), LONGEST_LEASE_SECONDS)


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to run a job, and the job."""

    job_id: str
    run_id: str
    queue: str
    priority: int
    kind: str
    #: What people see it as, and its arguments as one line.
    name: str
    display_args: str
    spec: str
    signature: str
    attempt: int
    #: Seconds it waited since it was ready to run.
    waited_seconds: float
    #: Seconds since its first attempt started.
    elapsed_seconds: float
    #: What the server would need to know again if it forgot the job; times by its clock, 0 for none.
    first_start_ms: int = 0
    expires_ms: int = 0
    losses: int = 0
    #: How many of its attempts ran out of memory and were followed by another.
    out_of_memory: int = 0
    idempotency_key: str = ""
    #: Hash of the spec that the idempotency key stands for.
    spec_hash: str = ""
    #: SHA-256 of the bytes that travel with the job, or empty.
    blob: str = ""
    #: Where the job waits, and the bounds of its keys; see queues/lane.py.
    lane: str = ""
    bounds: str = ""
    #: Whether a job of this id and signature had ended before: somebody has written it again.
    is_spent: bool = False


class Finish(StrEnum):
    """What became of the end of a run."""

    #: The claim held.
    DONE = "done"
    #: Another claim has the job by now, or a late report came for a forgotten job; the record is kept, as its own row.
    STALE = "stale"
    #: The server knows nothing of the job; nothing was done.
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Ending:
    """The end of a run."""

    job_id: str
    run_id: str
    #: The run's record as JSON.
    record: str
    #: The job's now: delayed means another attempt, queued that it is given back.
    state: State
    #: How long from now the next attempt is due.
    delay_seconds: float = 0.0
    #: Whether giving the job back counts against the losses allowed; when there were too many the job is lost.
    is_loss: bool = False
    #: Whether the report waited for the server while its run was over: where the server has forgotten the job it is
    #: STALE, and never brings the job back.
    is_late: bool = False
    #: The next attempt's queue, where it is another.
    queue: str | None = None
    #: Whether the next attempt counts as one after out of memory.
    is_out_of_memory: bool = False
    #: The next attempt's lane, where it is another.
    lane: str | None = None


@dataclass(frozen=True, slots=True)
class Renewal:
    """One lease to renew."""

    job_id: str
    run_id: str
    lease_seconds: float
    #: Last reading of the run as JSON, or empty.
    reading: str = ""


@dataclass(frozen=True, slots=True)
class Tick:
    """What one tick did."""

    moved: int
    expired: int
    rescued: int
    resent: int
    #: In how many seconds the next rate that is used up has room again; None when none is.
    rate_due_seconds: float | None = None

    @property
    def is_full(self) -> bool:
        """Whether it did as much as one may: there can be more to do."""
        return max(self.moved, self.expired, self.rescued) >= _MOST_PER_TICK


class Claims:
    """Claims jobs for one worker. Raises the client library's errors: the caller decides what an outage means."""

    def __init__(
        self, client: redis.Redis, keys: Keys, worker: str, keep_seconds: float, signing_key: str = ""
    ) -> None:
        self._client, self._keys, self._scripts = client, keys, Scripts(client, keys)
        self._worker, self._keep_ms = worker, round(keep_seconds * 1000)
        self._template, self._key = template(), signing_key

    def claim(self, job_id: str, run_id: str, message_list: str = "") -> Claim | str:
        """Take the job; or give the state, or 'gone', that stands against it.

        ``message_list`` is the list of Celery's that its message stood in: one that the job has left starts nothing.
        """
        asked = (job_id, run_id, self._worker, round(SHORTEST_LEASE_SECONDS * 1000), self._template, self._keep_ms)
        answer = self._scripts.call("claim", *asked, message_list)
        return _claim(run_id, answer) if answer[0] == b"claimed" else str(answer[0].decode())

    def claim_next(self, queue: str, run_id: str) -> Claim | None:
        """Take the queue's first job that waits behind the window, if there is one."""
        return _claimed(run_id, self._scripts.call("next", *self._said_of_next(queue, run_id)))

    def renew(self, renewals: list[Renewal]) -> dict[str, str]:
        """Renew leases; give 'kept', 'cancel', 'lost' or 'gone' by run id: see lua/renew.lua.

        A job that the server has as waiting because it lost its last second is taken again by its living run.
        """
        flat: list[str | int] = [self._worker]
        for one in renewals:
            flat += [one.job_id, one.run_id, round(one.lease_seconds * 1000), one.reading]
        answer = self._scripts.call("renew", *flat)
        return {one.run_id: word.decode() for one, word in zip(renewals, answer, strict=True)}

    def finish(self, ending: Ending) -> Finish:
        """End a run. Safe to repeat."""
        return Finish(self._scripts.call("finish", *self._said_of(ending)).decode())

    def finish_and_claim(self, ending: Ending, queue: str, run_id: str) -> tuple[Finish, Claim | None]:
        """End a run, and take the queue's next job for the slot that is free now, in one step at the server.

        The claim stands whatever became of the end, and the end whatever kept the next from being taken.
        """
        said = (*self._said_of(ending), *self._said_of_next(queue, run_id))
        ended, taken, *faults = self._scripts.call_kept("finish_next", *said)
        for fault in faults:
            _log.warning("next_not_claimed queue=%s reason=%s", queue, fault.decode(errors="replace"))
        return Finish(ended.decode()), _claimed(run_id, taken)

    def _said_of(self, ending: Ending) -> tuple[str | int, ...]:
        return (
            *(ending.job_id, ending.run_id, ending.record, ending.state, round(ending.delay_seconds * 1000)),
            *(self._template, self._keep_ms, LOSSES_ALLOWED if ending.is_loss else ""),
            *("1" if ending.is_late else "", ending.queue or "", "1" if ending.is_out_of_memory else ""),
            ending.lane or "",
            seal_record(self._key, ending.job_id, ending.run_id, ending.record),
        )

    def _said_of_next(self, queue: str, run_id: str) -> tuple[str | int, ...]:
        return queue, run_id, self._worker, round(SHORTEST_LEASE_SECONDS * 1000), self._keep_ms

    def reassert(self, claim: Claim, lease: float) -> bool:
        """Put back a running job that the server has forgotten; give whether the claim holds now. Safe to repeat."""
        known = (claim.kind, claim.name, claim.display_args, claim.queue, claim.priority, claim.attempt)
        beyond = (claim.first_start_ms, claim.expires_ms, claim.losses, claim.idempotency_key, claim.spec_hash)
        answer = self._scripts.call(
            "reassert",
            *(claim.job_id, claim.run_id, self._worker, round(lease * 1000), claim.spec, claim.signature),
            *known,
            *beyond,
            *(claim.blob, claim.out_of_memory, marks_in(claim.spec), claim.lane, claim.bounds),
        )
        return bool(answer == b"kept")

    def hand_back(self, job_id: str) -> bool:
        """Put a job whose message came here, and that was not claimed, back into its place in line; give whether."""
        return bool(self._scripts.call("hand_back", job_id, self._template))

    def order_to_cancel(self, job_id: str) -> bytes:
        """Give the text of the order that a renewal answered 'cancel' for; empty when there is none."""
        return self._client.hget(self._keys("job", job_id), "cancel_order") or b""

    def tick(self) -> Tick:
        """Move due jobs, end expired ones, rescue lost runs, fill the windows."""
        answer = self._scripts.call(
            "tick",
            self._template,
            self._keep_ms,
            _MOST_PER_TICK,
            LOSSES_ALLOWED,
            round(DOUBT_SECONDS * 1000),
            round(WORKER_LIFETIME_SECONDS * 1000),
        )
        moved, expired, rescued, resent, due_ms = (int(number) for number in answer)
        return Tick(moved, expired, rescued, resent, _seconds(due_ms))

    def open_due_rates(self) -> float | None:
        """Let jobs go whose rate has room again; give in how many seconds the next one has, or None."""
        return _seconds(int(self._scripts.call("due", self._template)))


def _seconds(ms: int) -> float | None:
    return None if ms < 0 else ms / 1000


def _claimed(run_id: str, answer: list[bytes]) -> Claim | None:
    return _claim(run_id, answer) if answer[0] == b"claimed" else None


def _claim(run_id: str, answer: list[bytes]) -> Claim:
    _, job_id, queue, spec, signature, attempt, ready_ms, now_ms, first_ms, kind, name, display_args, prio = answer[:13]
    expires_ms, losses, key, spec_hash, blob, out_of_memory, lane, bounds, spent = answer[13:]
    return Claim(
        job_id=job_id.decode(),
        run_id=run_id,
        queue=queue.decode(),
        priority=int(prio),
        kind=kind.decode(),
        name=name.decode(),
        display_args=display_args.decode(),
        spec=spec.decode(),
        signature=signature.decode(),
        attempt=int(attempt),
        waited_seconds=max(0, int(now_ms) - int(ready_ms)) / 1000,
        elapsed_seconds=max(0, int(now_ms) - int(first_ms)) / 1000,
        first_start_ms=int(first_ms),
        expires_ms=int(expires_ms),
        losses=int(losses),
        out_of_memory=int(out_of_memory),
        idempotency_key=key.decode(),
        spec_hash=spec_hash.decode(),
        blob=blob.decode(),
        lane=lane.decode(),
        bounds=bounds.decode(),
        is_spent=spent == b"1",
    )
