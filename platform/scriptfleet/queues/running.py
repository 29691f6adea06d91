"""What runs now, with the last reading of each run, as the broker knows it."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from scriptfleet.queues.client import Broker
from scriptfleet.queues.connection import told_plainly

#: Asked about in one round trip.
_AT_ONCE: Final = 500
_FIELDS: Final = ("name", "queue", "worker", "attempt", "started", "state")


@dataclass(frozen=True, slots=True)
class RunningJob:
    """A job that runs; None where nobody has told yet."""

    job_id: str
    name: str
    queue: str
    worker: str
    attempt: int
    #: Seconds since its run was claimed, by the broker's clock.
    elapsed_seconds: float | None
    #: Percent of one core over the whole tree.
    cpu_percent: float | None
    #: Resident, MiB.
    memory_mb: float | None
    processes: int | None
    #: Of storage, by the whole tree since its start.
    block_io_read_bytes: int | None
    block_io_write_bytes: int | None
    #: What the script says: a share from 0 to 1, and a message.
    progress: float | None
    message: str | None


def running_jobs(broker: Broker) -> list[RunningJob]:
    """Give all jobs that run, by queue and name. Raises BrokerUnreachable."""
    with told_plainly(broker.url):
        return sorted(_found(broker), key=lambda job: (job.queue, job.name, job.job_id))


def _found(broker: Broker) -> Iterator[RunningJob]:
    client, keys = broker.redis, broker.keys
    queues = [name.decode() for name in client.smembers(keys("queues"))]
    ids = [job_id.decode() for queue in queues for job_id in client.smembers(keys("running", queue))]
    now_seconds, micros = client.time()
    for at in range(0, len(ids), _AT_ONCE):
        some = ids[at : at + _AT_ONCE]
        readings = client.hmget(keys("live"), some)
        pipeline = client.pipeline(transaction=False)
        for job_id in some:
            pipeline.hmget(keys("job", job_id), *_FIELDS)
        for job_id, fields, reading in zip(some, pipeline.execute(), readings, strict=True):
            facts = {name: value.decode(errors="replace") for name, value in zip(_FIELDS, fields, strict=True) if value}
            # It may have ended since the list was read.
            if facts.get("state") == "running":
                yield _job(job_id, facts, json.loads(reading) if reading else {}, now_seconds + micros / 1e6)


def _job(job_id: str, facts: dict[str, str], reading: dict[str, Any], now: float) -> RunningJob:
    started_ms = facts.get("started")
    elapsed = reading.get("seconds")
    if elapsed is None and started_ms:
        elapsed = max(0.0, now - float(started_ms) / 1000)
    return RunningJob(
        job_id=job_id,
        name=facts.get("name", ""),
        queue=facts.get("queue", ""),
        worker=facts.get("worker", ""),
        attempt=int(facts.get("attempt", 0)),
        elapsed_seconds=elapsed,
        cpu_percent=reading.get("cpu_percent"),
        memory_mb=reading.get("memory_mb"),
        processes=reading.get("processes"),
        block_io_read_bytes=reading.get("block_io_read_bytes"),
        block_io_write_bytes=reading.get("block_io_write_bytes"),
        progress=reading.get("progress"),
        message=reading.get("message"),
    )
