"""The monitor: finds jobs that stand still, sets them going again, and tells where all jobs stand.

What counts as standing still is listed in queues/stuck.py and docs/monitor.md. Looking changes nothing at all.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from typing import Final

import redis

from scriptfleet.domain.state import LIVE, State
from scriptfleet.errors import InvalidValue
from scriptfleet.queues.claims import Claims
from scriptfleet.queues.client import Broker
from scriptfleet.queues.epoch import Epochs
from scriptfleet.queues.events import EventReader
from scriptfleet.queues.restoring import Restored, Restoring
from scriptfleet.queues.stuck import GRACE_SECONDS, Reading, Stuck, StuckJob, StuckView
from scriptfleet.results.restore import lost_job
from scriptfleet.storage import standing
from scriptfleet.storage.broker_store import BrokerStore
from scriptfleet.storage.engine import Database
from scriptfleet.storage.unfinished import UnfinishedJob, unfinished

#: What is counted of each group, in this order.
COUNTED: Final = ("total", "active", "complete", "stuck", "failed")
_FAILED: Final = frozenset(
    {State.FAILED, State.TIMED_OUT, State.OUT_OF_MEMORY, State.LOST, State.REJECTED, State.EXPIRED}
)
_AT_ONCE: Final = 500
#: Steps of at most 200 jobs each.
_MOST_TICKS: Final = 100

_BECAME: Final = {
    Restored.QUEUED: "submitted again",
    Restored.DELAYED: "submitted again, due as it was",
    Restored.RUNNING: "its lease begins anew: it is rescued when that ends, unless its worker still renews it",
    Restored.LOST: "ended as lost: it cannot run again",
    Restored.SKIPPED: "ended as skipped: its idempotency key was used again",
    Restored.KNOWN: "left: the broker knows it by now",
    Restored.OVER: "left: the broker was wiped just now",
}
_STAYS: Final = {
    Stuck.WORKER_GONE: "it is rescued when its lease ends",
    Stuck.MESSAGE_LOST: "it waits for a worker of its queue",
}
_LATER: Final = "there are many: the next look goes on"


@dataclass(frozen=True, slots=True)
class Found:
    """Jobs that stand still."""

    jobs: list[StuckJob]
    #: Of those the broker does not know: what the store knows.
    unknown: dict[str, UnfinishedJob] = field(default_factory=dict)
    #: Why it was not looked for jobs that the broker does not know; None when it was.
    not_compared: str | None = None


@dataclass(frozen=True, slots=True)
class ActiveJob:
    """A job that has not ended."""

    job: UnfinishedJob
    #: Of one that runs.
    reading: Reading | None


class Monitor:
    """Looks at one fleet. Raises StoreUnreachable and the client library's errors."""

    def __init__(self, broker: Broker, database: Database) -> None:
        self._broker, self._database = broker, database
        self._view = StuckView(broker)
        self._epochs = Epochs(broker.redis, broker.keys)

    def look(self, group: str | None = None) -> Found:
        """Find what stands still in all groups, or in one; changes nothing."""
        jobs = [job for job in self._view.find() if group is None or job.group == group]
        why_not = self._why_not_compared()
        if why_not:
            return Found(jobs, not_compared=why_not)
        unknown = {job.job_id: job for job in self._unknown(group)}
        named = [StuckJob(job.job_id, job.name or "", job.group_name, Stuck.UNKNOWN) for job in unknown.values()]
        return Found(jobs + named, unknown)

    def mend(self, found: Found) -> dict[str, str]:
        """Set going again what can be; give what was done with each job, or why nothing was."""
        done = {job_id: self._restore(job) for job_id, job in found.unknown.items()}
        others = [job for job in found.jobs if job.why is not Stuck.UNKNOWN]
        if others:
            self._tick()
            still = {job.job_id for job in self._view.find()}
            done |= {job.job_id: _said(job, job.job_id in still) for job in others}
        return done

    def counts(self, found: Found, group: str | None = None) -> dict[str, dict[str, int]]:
        """Give how many jobs of each group there are: all, active, complete, stuck and failed ones; None is ``""``."""
        states = standing.counts(self._database, group)
        groups = sorted({of or "" for of, _ in states} | {job.group or "" for job in found.jobs})
        counted = {name: dict.fromkeys(groups, 0) for name in COUNTED}
        for job in found.jobs:
            counted["stuck"][job.group or ""] += 1
        for (of, state), count in states.items():
            counted[_kind_of(state)][of or ""] += count
            counted["total"][of or ""] += count
        for name, stuck in counted["stuck"].items():
            counted["active"][name] = max(0, counted["active"][name] - stuck)
        return counted

    def active(self, group: str | None, most: int) -> list[ActiveJob]:
        """Give jobs that have not ended, running ones first; at most so many."""
        jobs = list(islice(unfinished(self._database, group), most))
        workers = {job.job_id: job.worker or "" for job in jobs if job.state is State.RUNNING}
        readings = self._view.readings(workers)
        return [ActiveJob(job, readings.get(job.job_id)) for job in jobs]

    def _why_not_compared(self) -> str | None:
        known = BrokerStore(self._database, self._broker.settings.namespace).get()
        if known is None:
            return "the results service has not met this broker yet"
        if known.wiped_at is not None or self._epochs.peek() != known.epoch:
            return "the broker was wiped, and the results service is to restore its jobs"
        until, now = self._events().stored_until(), _now(self._broker.redis)
        if now - until > GRACE_SECONDS:
            return f"the store is {now - until:.0f} s behind: is the results service up?"
        return None

    def _unknown(self, group: str | None) -> Iterator[UnfinishedJob]:
        for jobs in _in_parts(unfinished(self._database, group)):
            missing = set(self._view.unknown([job.job_id for job in jobs]))
            yield from (job for job in jobs if job.job_id in missing)

    def _restore(self, job: UnfinishedJob) -> str:
        if job.spec is None:
            return "left: its submit was never seen"
        lost = lost_job(job, job.spec, _now(self._broker.redis))
        try:
            became = Restoring(self._broker).restore(lost, self._epochs.peek() or "", is_wiped=False)
        except InvalidValue as fault:
            return f"left: {fault}"
        return _BECAME[became]

    def _tick(self) -> None:
        """Do what each worker does once a second, until nothing is left to do."""
        claims = Claims(self._broker.redis, self._broker.keys, "monitor", self._broker.keep_ms / 1000)
        for _ in range(_MOST_TICKS):
            done = claims.tick()
            if not (done.moved or done.expired or done.rescued or done.resent):
                return

    def _events(self) -> EventReader:
        return EventReader(self._broker.redis, self._broker.keys, "monitor")


def _said(job: StuckJob, is_still_stuck: bool) -> str:
    return _STAYS.get(job.why, _LATER) if is_still_stuck else "set going again"


def _kind_of(state: State) -> str:
    if state in LIVE:
        return "active"
    return "failed" if state in _FAILED else "complete"


def _in_parts(jobs: Iterator[UnfinishedJob]) -> Iterator[list[UnfinishedJob]]:
    while part := list(islice(jobs, _AT_ONCE)):
        yield part


def _now(client: redis.Redis) -> float:
    seconds, micros = client.time()
    return float(seconds + micros / 1e6)


def as_moment(seconds: float | None) -> datetime | None:
    """Give a moment in UTC."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
