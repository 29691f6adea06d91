"""Jobs that stand still, as the broker sees them. Only looks: nothing here changes anything."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

from scriptfleet.queues.claims import DOUBT_SECONDS
from scriptfleet.queues.client import Broker
from scriptfleet.queues.fleet import FleetView

#: What every worker does once a second may be so late before it counts as not done.
GRACE_SECONDS: Final = 5.0
_MOST: Final = 10_000
_AT_ONCE: Final = 500


class Stuck(StrEnum):
    """Why a job counts as stuck."""

    #: It runs, its lease is over, and no worker has rescued it.
    LEASE_OVER = "lease_over"
    #: It runs under a lease that still holds, but its worker has given no sign of life.
    WORKER_GONE = "worker_gone"
    #: It was handed to Celery, and its message is in no list.
    MESSAGE_LOST = "message_lost"
    #: It is delayed and was due.
    OVERDUE = "overdue"
    #: The store knows it as unfinished, and the broker does not know it though it was never wiped.
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class StuckJob:
    """A job that stands still."""

    job_id: str
    name: str
    group: str | None
    why: Stuck


@dataclass(frozen=True, slots=True)
class Reading:
    """What is known of a running job now; None where nobody tells."""

    worker: str
    last_sign_of_life: datetime | None
    cpu_percent: float | None
    memory_mb: float | None


class StuckView:
    """Looks for jobs that stand still. Raises the client library's errors."""

    def __init__(self, broker: Broker) -> None:
        self._broker, self._redis, self._keys = broker, broker.redis, broker.keys

    def find(self) -> list[StuckJob]:
        """Give the jobs that no worker sees to, and those whose worker is gone; of each kind at most 10,000."""
        told = self._broker.scripts.call("stuck", round(GRACE_SECONDS * 1000), round(DOUBT_SECONDS * 1000), _MOST)
        why = {job_id.decode(): Stuck(reason.decode()) for reason, job_id in zip(told[::2], told[1::2], strict=True)}
        for job_id in self._without_worker():
            why.setdefault(job_id, Stuck.WORKER_GONE)
        return list(self._named(why))

    def unknown(self, job_ids: Sequence[str]) -> list[str]:
        """Give those of the jobs that the broker does not know."""
        pipeline = self._redis.pipeline(transaction=False)
        for job_id in job_ids:
            pipeline.exists(self._keys("job", job_id))
        return [job_id for job_id, known in zip(job_ids, pipeline.execute(), strict=True) if not known]

    def readings(self, workers: dict[str, str]) -> dict[str, Reading]:
        """Give the last reading of each job; ``workers`` is who runs it, by job."""
        # Asked first, also where nothing runs: a broker that is away is to be told.
        seen = {one.name: one.seen_at_ms for one in FleetView(self._redis, self._keys).workers()}
        if not workers:
            return {}
        live = self._redis.hmget(self._keys("live"), list(workers))
        return {
            job_id: _reading(name, said, seen.get(name))
            for (job_id, name), said in zip(workers.items(), live, strict=True)
        }

    def _without_worker(self) -> Iterator[str]:
        alive = {worker.name.encode() for worker in FleetView(self._redis, self._keys).workers()}
        running = self._redis.zrange(self._keys("leases"), 0, _MOST - 1)
        for start in range(0, len(running), _AT_ONCE):
            some = running[start : start + _AT_ONCE]
            pipeline = self._redis.pipeline(transaction=False)
            for job_id in some:
                pipeline.hmget(self._keys("job", job_id.decode()), "state", "worker")
            for job_id, (state, worker) in zip(some, pipeline.execute(), strict=True):
                if state == b"running" and worker not in alive:
                    yield job_id.decode()

    def _named(self, why: dict[str, Stuck]) -> Iterator[StuckJob]:
        pipeline = self._redis.pipeline(transaction=False)
        for job_id in why:
            pipeline.hmget(self._keys("job", job_id), "name", "spec")
        for (job_id, reason), (name, spec) in zip(why.items(), pipeline.execute(), strict=True):
            # It may have ended and been let go since.
            if spec is not None:
                yield StuckJob(job_id, name.decode(), json.loads(spec).get("group"), reason)


def _reading(worker: str, said: bytes | None, seen_at_ms: int | None) -> Reading:
    found: dict[str, Any] = json.loads(said) if said else {}
    seen = None if seen_at_ms is None else datetime.fromtimestamp(seen_at_ms / 1000, UTC)
    return Reading(worker, seen, found.get("cpu_percent"), found.get("memory_mb"))
