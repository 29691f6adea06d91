"""Why a job waits, in one sentence: what the scripts of lua/ would find in its way now."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scriptfleet.domain.state import State
from scriptfleet.domain.worker_state import WorkerState
from scriptfleet.queues.connection import told_plainly
from scriptfleet.queues.fleet import FleetView, WorkerInfo

if TYPE_CHECKING:
    from scriptfleet.queues.client import Broker


@dataclass(frozen=True, slots=True)
class _Waiting:
    job_id: str
    queue: str
    #: What its lane asks for; see lua/lanes.lua.
    asked: dict[str, Any]
    #: The worker that it was placed with, or empty.
    placed: str
    is_sent: bool


def why_waits(broker: "Broker", job_id: str) -> str | None:
    """Say why a queued job has not started; None for a job that is not queued. Raises BrokerUnreachable."""
    with told_plainly(broker.url):
        job = _read(broker, job_id)
        return None if job is None else _Reasons(broker, job).first()


def _read(broker: "Broker", job_id: str) -> _Waiting | None:
    names = ("state", "queue", "lane", "placed")
    found = broker.redis.hmget(broker.keys("job", job_id), *names)
    state, queue, lane, placed = (value.decode() if value else "" for value in found)
    if state != State.QUEUED:
        return None
    is_sent = broker.redis.zscore(broker.keys("admitted", queue), job_id) is not None
    return _Waiting(job_id, queue, json.loads(lane) if lane else {}, placed, is_sent)


class _Reasons:
    """Looks for reasons in the order in which a person would mend them."""

    def __init__(self, broker: "Broker", job: _Waiting) -> None:
        self._redis, self._keys, self._job = broker.redis, broker.keys, job
        self._view = FleetView(broker.redis, broker.keys)
        self._workers = self._view.workers()

    def first(self) -> str:
        reason = self._paused() or self._no_worker()
        if reason is None and not self._job.is_sent:
            reason = self._no_fit() or self._key_full() or self._rate_used_up()
        return reason or self._turn()

    def _paused(self) -> str | None:
        queue = self._job.queue
        is_paused = self._redis.hexists(self._keys("queue", queue), "paused")
        return f"queue {queue} is paused: `scriptfleet queues resume {queue}` lets it go on" if is_paused else None

    def _no_worker(self) -> str | None:
        queue = self._job.queue
        if not self._workers:
            return "no worker is alive"
        if not self._serving:
            return f"no worker serves queue {queue}"
        if not self._taking:
            states = sorted({str(worker.state) for worker in self._serving})
            return f"no worker of queue {queue} takes jobs: each is {' or '.join(states)}"
        return None

    def _no_fit(self) -> str | None:
        labels, memory_mb = self._job.asked.get("l") or {}, self._job.asked.get("m")
        fitting = [worker for worker in self._taking if labels.items() <= worker.labels.items()]
        wanted = ", ".join(f"{name}={value}" for name, value in labels.items())
        if not fitting:
            return f"no worker has {wanted}" if len(self._taking) == len(self._workers) else self._none_here(wanted)
        if memory_mb is None:
            return None
        free = max((self._free_mb(worker), worker.name) for worker in fitting)
        if free[0] >= memory_mb:
            return None
        return f"no worker has {memory_mb:,.0f} MiB free: {free[1]} comes next with {max(0.0, free[0]):,.0f}"

    def _none_here(self, wanted: str) -> str:
        return f"no worker that serves queue {self._job.queue} and takes jobs has {wanted}"

    def _free_mb(self, worker: WorkerInfo) -> float:
        promised = self._redis.zrange(self._keys("placed", worker.name), 0, -1, withscores=True)
        return (worker.memory_free_mb or 0.0) - float(sum(asked for _, asked in promised))

    def _key_full(self) -> str | None:
        key = self._job.asked.get("c")
        limit = self._redis.get(self._keys("bounds", f"c:{key}")) if key else None
        held = int(self._redis.scard(self._keys("held", f"c:{key}"))) if limit else 0
        if limit is None or held < int(limit):
            return None
        return f"concurrency key {key} is full: {held} of {int(limit)} are running or about to"

    def _rate_used_up(self) -> str | None:
        key = self._job.asked.get("r")
        bounds = self._redis.get(self._keys("bounds", f"r:{key}")) if key else None
        if bounds is None:
            return None
        jobs, window_ms = (int(part) for part in bounds.split())
        seconds, micros = self._redis.time()
        now_ms = seconds * 1000 + micros // 1000
        starts = self._redis.zrangebyscore(
            self._keys("held", f"r:{key}"), f"({now_ms - window_ms}", "+inf", withscores=True
        )
        if len(starts) < jobs:
            return None
        oldest = starts[0][1]
        when = "" if oldest == float("inf") else f": the next starts in {(oldest + window_ms - now_ms) / 1000:,.1f} s"
        return f"rate key {key} has had its {jobs} starts in {window_ms / 1000:g} s{when}"

    def _turn(self) -> str:
        if self._job.placed:
            return f"it waits for a slot of worker {self._job.placed}"
        slots = sum(worker.slots for worker in self._taking)
        waiting = self._view.queues()[self._job.queue].waiting
        return f"its turn has not come: {waiting:,} jobs wait in queue {self._job.queue} for {slots:,} slots"

    @property
    def _serving(self) -> Sequence[WorkerInfo]:
        return [worker for worker in self._workers if self._job.queue in worker.queues]

    @property
    def _taking(self) -> Sequence[WorkerInfo]:
        return [worker for worker in self._serving if worker.state is WorkerState.READY]
