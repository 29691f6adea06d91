"""The fleet as the broker sees it: workers that gave a sign of life, queues and what stands in them."""

import os
from dataclasses import dataclass
from typing import Final

import redis

from scriptfleet.queues.claims import WORKER_LIFETIME_SECONDS
from scriptfleet.queues.keys import Keys
from scriptfleet.queues.scripts import Scripts

_LIFETIME_MS: Final = round(WORKER_LIFETIME_SECONDS * 1000)


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
    #: Why it takes no new job just now; empty when it does.
    throttled: str = ""


@dataclass(frozen=True, slots=True)
class QueueDepth:
    """What stands in a queue."""

    #: Waiting, not yet handed to Celery.
    ready: int
    #: Handed to Celery, not yet claimed.
    admitted: int
    running: int
    delayed: int

    @property
    def waiting(self) -> int:
        """Ready and admitted: what a worker could start now."""
        return self.ready + self.admitted


class FleetView:
    """Reads the fleet's state."""

    def __init__(self, client: redis.Redis, keys: Keys) -> None:
        self._client, self._keys = client, keys

    def queues(self) -> dict[str, QueueDepth]:
        """Give the depth of each queue that was ever used. Delayed jobs are counted under the queue they go to."""
        names = sorted(name.decode() for name in self._client.smembers(self._keys("queues")))
        pipeline = self._client.pipeline(transaction=False)
        for name in names:
            pipeline.zcard(self._keys("ready", name))
            pipeline.zcard(self._keys("admitted", name))
            pipeline.scard(self._keys("running", name))
        counts = pipeline.execute()
        delayed = self._delayed_by_queue()
        return {
            name: QueueDepth(ready, admitted, running, delayed.get(name, 0))
            for name, ready, admitted, running in zip(names, counts[0::3], counts[1::3], counts[2::3], strict=True)
        }

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
        ids = self._client.zrange(self._keys("delayed"), 0, 9_999)
        pipeline = self._client.pipeline(transaction=False)
        for job_id in ids:
            pipeline.hget(self._keys("job", job_id.decode()), "queue")
        counts: dict[str, int] = {}
        for queue in pipeline.execute():
            if queue:
                counts[queue.decode()] = counts.get(queue.decode(), 0) + 1
        return counts


class Presence:
    """A worker's own entry in the list."""

    def __init__(self, client: redis.Redis, keys: Keys, name: str) -> None:
        self._client, self._keys, self._name = client, keys, name
        self._scripts = Scripts(client, keys)

    def join(self, host: str) -> tuple[str, int] | None:
        """Reserve the name for this process; or give the host and pid of the one that holds it."""
        holder = self._scripts.call("presence", "join", self._name, _LIFETIME_MS, host, os.getpid())
        return (holder[0].decode(), int(holder[1])) if holder else None

    def tell(self, host: str, slots: int, running: int, queues: list[str], version: str, throttled: str = "") -> None:
        """Give a sign of life; ``throttled`` is why no new job is taken, or empty. A full server takes it too."""
        said = {"host": host, "pid": os.getpid(), "slots": slots, "running": running, "version": version}
        flat = [str(word) for pair in (said | {"throttled": throttled}).items() for word in pair]
        self._scripts.call("presence", "tell", self._name, _LIFETIME_MS, ",".join(queues), *flat)

    def leave(self) -> None:
        """Take the entry away: this worker stops on purpose."""
        pipeline = self._client.pipeline()
        pipeline.zrem(self._keys("workers"), self._name)
        pipeline.delete(self._keys("worker", self._name))
        pipeline.execute()


def _worker(name: str, seen_at_ms: int, fields: dict[bytes, bytes]) -> WorkerInfo:
    said = {key.decode(): value.decode() for key, value in fields.items()}
    return WorkerInfo(
        name=name,
        host=said["host"],
        slots=int(said["slots"]),
        running=int(said["running"]),
        queues=said["queues"].split(","),
        seen_at_ms=seen_at_ms,
        version=said["version"],
        # A worker of an older version does not say it.
        throttled=said.get("throttled", ""),
    )
