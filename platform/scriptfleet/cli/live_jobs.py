"""Jobs that have not ended, as the broker lists them: for machines that do not reach the database."""

from typing import Any, Final

from scriptfleet.config import Settings
from scriptfleet.errors import JobNotFound
from scriptfleet.queues.client import Broker
from scriptfleet.queues.connection import told_plainly
from scriptfleet.queues.job_handle import Job
from scriptfleet.storage.job_store import JobFilter

_MOST_LANES: Final = 1_000


def newest(settings: Settings, which: JobFilter, limit: int) -> list[dict[str, Any]]:
    """Give the jobs that wait or run, the last submitted first; of each list in the broker at most ``limit``."""
    broker = Broker(settings)
    jobs = [job for job_id in _ids(broker, limit) if (job := _facts(broker, job_id)) and _matches(job, which)]
    return sorted(jobs, key=lambda job: job["submitted_at"], reverse=True)[:limit]


def _ids(broker: Broker, limit: int) -> set[str]:
    with told_plainly(broker.url):
        found: set[bytes] = set(broker.redis.zrange(broker.keys("delayed"), 0, limit - 1))
        for name in broker.redis.smembers(broker.keys("queues")):
            queue = name.decode()
            for place in _places_in_line(broker, queue):
                found.update(broker.redis.zrevrange(place, 0, limit - 1))
            found.update(broker.redis.zrevrange(broker.keys("admitted", queue), 0, limit - 1))
            found.update(broker.redis.smembers(broker.keys("running", queue)))
    return {job_id.decode() for job_id in found}


def _places_in_line(broker: Broker, queue: str) -> list[str]:
    """Give the queue's lanes; where there are very many, some of them."""
    lanes = broker.redis.srandmember(broker.keys("lanes", queue), _MOST_LANES)
    return [broker.keys("ready", queue), *(broker.keys("ready", queue, lane.decode()) for lane in lanes)]


def _facts(broker: Broker, job_id: str) -> dict[str, Any] | None:
    try:
        facts = Job(job_id, broker).facts()
    except JobNotFound:
        # It ended and was let go since the list was read.
        return None
    shown = ("job_id", "name", "queue", "attempt", "worker", "submitted_at", "started_at")
    costs = dict.fromkeys(("wall_seconds", "cpu_seconds", "memory_max_mb"))
    return {**{name: facts[name] for name in shown}, "state": str(facts["state"]), **costs}


def _matches(job: dict[str, Any], which: JobFilter) -> bool:
    wanted = {"state": which.state, "queue": which.queue, "name": which.name}
    return all(value is None or job[name] == value for name, value in wanted.items())
