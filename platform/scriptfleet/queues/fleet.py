"""The fleet as the broker sees it: workers that gave a sign of life, queues and what stands in them."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import redis

from scriptfleet.domain.worker_state import WorkerState
from scriptfleet.queues.claims import WORKER_LIFETIME_SECONDS
from scriptfleet.queues.keys import Keys
from scriptfleet.queues.orders import Order, Verb
from scriptfleet.queues.scripts import Scripts

_DELAYED_LOOKED_AT: Final = 2_000
_LIFETIME_MS: Final = round(WORKER_LIFETIME_SECONDS * 1000)
#: A worker that runs more jobs names so many of them.
JOBS_NAMED: Final = 50
#: An order for a worker that is not there waits so long for it: longer than a worker is away for.
_ORDER_WAITS_MS: Final = 60_000


@dataclass(frozen=True, slots=True)
class SignOfLife:
    """What a worker says of itself about once a second."""

    host: str
    slots: int
    running: int
    queues: list[str]
    version: str
    #: Why it takes no new job just now though nobody ordered so; empty when it does.
    throttled: str = ""
    state: WorkerState = WorkerState.READY
    #: Ids of jobs that it runs; of many, the first.
    jobs: tuple[str, ...] = ()
    #: Of its whole machine; None where the machine does not say.
    cpu_percent: float | None = None
    memory_percent: float | None = None
    #: Wall clock of its start, seconds since the epoch.
    started_at: float | None = None
    #: What it offers to jobs that ask for it.
    labels: Mapping[str, str] = field(default_factory=dict)
    #: What would be free if jobs that asked for memory used none, MiB; None where the machine does not say.
    memory_free_mb: float | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """What the broker answers to a sign of life. Orders are their texts, empty when there is none; see orders.py."""

    #: The last order to cordon or uncordon this worker.
    cordon: str
    drain: str
    #: How much of its memory limit the server uses, percent; 0 without a limit.
    fullness: int


@dataclass(frozen=True, slots=True)
class WorkerInfo:
    """What a worker says of itself."""

    name: str
    host: str
    slots: int
    running: int
    queues: list[str]
    #: Server clock at its last sign of life, milliseconds since the epoch.
    seen_at_ms: int
    version: str
    #: Why it takes no new job just now though nobody ordered so; empty when it does.
    throttled: str = ""
    state: WorkerState = WorkerState.READY
    pid: int = 0
    #: Ids of jobs that it runs; of many, the first.
    jobs: tuple[str, ...] = ()
    #: Of its whole machine; None where nobody says.
    cpu_percent: float | None = None
    memory_percent: float | None = None
    #: Wall clock of its start, seconds since the epoch; None from a worker of an older version.
    started_at: float | None = None
    #: What it offers to jobs that ask for it.
    labels: dict[str, str] = field(default_factory=dict)
    #: What it has for jobs that ask for memory, MiB, what is promised to some included; None where nobody says.
    memory_free_mb: float | None = None


@dataclass(frozen=True, slots=True)
class QueueDepth:
    """What stands in a queue."""

    #: Waiting, not yet handed to Celery.
    ready: int
    #: Handed to Celery, not yet claimed.
    admitted: int
    running: int
    delayed: int
    #: Server clock when it was paused, milliseconds since the epoch; None while it is not.
    paused_at_ms: int | None = None

    @property
    def waiting(self) -> int:
        """Ready and admitted: what a worker could start now."""
        return self.ready + self.admitted


class FleetView:
    """Reads the fleet's state."""

    def __init__(self, client: redis.Redis, keys: Keys) -> None:
        self._client, self._keys = client, keys
        self._scripts = Scripts(client, keys)

    def queues(self) -> dict[str, QueueDepth]:
        """Give the depth of each queue that was ever used.

        Delayed jobs are counted under the queue they go to; of more than 2,000, a random choice tells the shares.
        """
        names = sorted(name.decode() for name in self._client.smembers(self._keys("queues")))
        pipeline = self._client.pipeline(transaction=False)
        for name in names:
            pipeline.zcard(self._keys("ready", name))
            pipeline.zcard(self._keys("admitted", name))
            pipeline.scard(self._keys("running", name))
            pipeline.hmget(self._keys("queue", name), "in_lanes", "paused")
        counts = pipeline.execute()
        delayed = self._delayed_by_queue()
        return {name: _depth(counts[at * 4 : at * 4 + 4], delayed.get(name, 0)) for at, name in enumerate(names)}

    def workers(self) -> list[WorkerInfo]:
        """Give the workers that are alive, by name."""
        seconds, micros = self._client.time()
        oldest = (seconds + micros / 1e6 - WORKER_LIFETIME_SECONDS) * 1000
        found = self._client.zrangebyscore(self._keys("workers"), oldest, "+inf", withscores=True)
        pipeline = self._client.pipeline(transaction=False)
        for name, _ in found:
            pipeline.hgetall(self._keys("worker", name.decode()))
        said = pipeline.execute()
        workers = [
            _worker(name.decode(), int(seen), fields)
            for (name, seen), fields in zip(found, said, strict=True)
            if fields
        ]
        return sorted(workers, key=lambda worker: worker.name)

    def _delayed_by_queue(self) -> dict[str, int]:
        told = self._scripts.call("delayed", _DELAYED_LOOKED_AT)
        return {queue.decode(): int(count) for queue, count in zip(told[::2], told[1::2], strict=True)}


def own_list(worker: str) -> str:
    """Give the list of messages that only this worker reads; the same in lua/placement.lua."""
    return f"worker.{worker}"


class Presence:
    """A worker's own entry in the list."""

    def __init__(self, client: redis.Redis, keys: Keys, name: str) -> None:
        self._client, self._keys, self._name = client, keys, name
        self._scripts = Scripts(client, keys)

    def join(self, host: str) -> tuple[str, int] | None:
        """Reserve the name for this process; or give the host and pid of the one that holds it."""
        holder = self._scripts.call("presence", "join", self._name, _LIFETIME_MS, host, os.getpid())
        return (holder[0].decode(), int(holder[1])) if holder else None

    def tell(self, sign: SignOfLife) -> Told:
        """Give a sign of life, and hear what is ordered. A full server takes it too."""
        said = {
            "host": sign.host,
            "pid": os.getpid(),
            "slots": sign.slots,
            "running": sign.running,
            "version": sign.version,
            "throttled": sign.throttled,
            "state": sign.state,
            "jobs": ",".join(sign.jobs[:JOBS_NAMED]),
            "load": json.dumps([sign.cpu_percent, sign.memory_percent]),
            "started": "" if sign.started_at is None else sign.started_at,
            "labels": json.dumps(dict(sign.labels)),
            "memory_mb": "" if sign.memory_free_mb is None else round(sign.memory_free_mb, 1),
        }
        flat = [str(word) for pair in said.items() for word in pair]
        answer = self._scripts.call("presence", "tell", self._name, _LIFETIME_MS, ",".join(sign.queues), *flat)
        return Told(answer[0].decode(), answer[1].decode(), int(answer[2]))

    def obeyed(self, verb: Verb) -> None:
        """Take an order away, so that a worker of this name that comes later does not obey it again."""
        self._scripts.call("presence", "obeyed", self._name, 0, verb)

    def leave(self) -> None:
        """Take the entry away: this worker stops on purpose."""
        self._scripts.call("presence", "leave", self._name)


def _depth(counts: list[Any], delayed: int) -> QueueDepth:
    alike, admitted, running, (in_lanes, paused) = counts
    return QueueDepth(alike + int(in_lanes or 0), admitted, running, delayed, int(paused) if paused else None)


class OrderDesk:
    """Leaves orders for workers, which they find with their next sign of life."""

    def __init__(self, client: redis.Redis, keys: Keys, signing_key: str) -> None:
        self._scripts, self._key = Scripts(client, keys), signing_key

    def leave(self, order: Order) -> None:
        """Leave an order to drain, cordon or uncordon; a later one of its kind takes its place."""
        field = Verb.DRAIN if order.verb is Verb.DRAIN else Verb.CORDON
        self._scripts.call("presence", "order", order.target, _ORDER_WAITS_MS, field, order.to_text(self._key))


def _worker(name: str, seen_at_ms: int, fields: dict[bytes, bytes]) -> WorkerInfo:
    said = {key.decode(): value.decode() for key, value in fields.items()}
    # A worker of an older version does not say all of it.
    cpu_percent, memory_percent = json.loads(said.get("load", "[null, null]"))
    started, jobs = said.get("started"), said.get("jobs")
    return WorkerInfo(
        name=name,
        host=said["host"],
        slots=int(said["slots"]),
        running=int(said["running"]),
        queues=said["queues"].split(","),
        seen_at_ms=seen_at_ms,
        version=said["version"],
        throttled=said.get("throttled", ""),
        state=_state(said.get("state", "")),
        pid=int(said["pid"]),
        jobs=tuple(jobs.split(",")) if jobs else (),
        cpu_percent=cpu_percent,
        memory_percent=memory_percent,
        started_at=float(started) if started else None,
        labels=json.loads(said.get("labels", "{}")),
        memory_free_mb=float(said["memory_mb"]) if said.get("memory_mb") else None,
    )


def _state(said: str) -> WorkerState:
    # Of an older version, or a newer one with a word that this one does not know.
    return WorkerState(said) if said in set(WorkerState) else WorkerState.READY
