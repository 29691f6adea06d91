"""How fast one worker gets through `true` jobs, each fully accounted, beside plain Celery calling subprocess.run.

Twice for each contender: from the release of a full queue, and from the start of submitting to a worker that waits.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from benchmarks.celery_tasks import RUN
from benchmarks.contender import CeleryWorker, FleetWorker, celery_worker, fleet_worker, hold, release
from benchmarks.figure import BenchmarkFailed, Figure, at_least
from benchmarks.server import Server, running_server
from benchmarks.waiting import until
from scriptfleet.domain.state import State
from scriptfleet.queues import drafts
from scriptfleet.queues.fleet import FleetView
from scriptfleet.queues.job_handle import Job

DEFAULT_JOBS = 1_000
_FLEET_SLOTS = 4
_CELERY = (("prefork", 2), ("threads", 2), ("prefork", 4))
_WARM_UPS = 50
#: How often the end is looked for; when it was is read afterwards, exactly.
_LOOK_SECONDS = 0.05
_LIMIT_SECONDS = 50.0


@dataclass(frozen=True, slots=True)
class Contender:
    """A worker and what differs between kinds of it."""

    worker: FleetWorker | CeleryWorker
    #: Submits so many jobs, waits for their end, and gives the wall clock of the last end when called again.
    submit: Callable[[int], Callable[[], float]]


@dataclass(frozen=True, slots=True)
class Rates:
    """Jobs per second."""

    released: float
    submitted: float


def measure(jobs: int = DEFAULT_JOBS) -> list[Figure]:
    """Take every contender in turn on the same server, emptied in between."""
    with running_server() as server:
        with _fleet(server) as contender:
            fleet = _rates(contender, server, jobs)
        peers = {}
        for pool, slots in _CELERY:
            server.empty()
            with _celery(server, pool, slots) as contender:
                peers[f"Celery {pool} -c {slots}"] = _rates(contender, server, jobs)
    return [figure for peer, rates in peers.items() for figure in _figures(fleet, peer, rates, jobs)]


def _figures(fleet: Rates, peer: str, rates: Rates, jobs: int) -> list[Figure]:
    budget = at_least(1.5 * rates.released) if peer == "Celery prefork -c 2" else None
    name, detail = f"{jobs:,} `true`, -c {_FLEET_SLOTS}", {"jobs": jobs}
    return [
        Figure(f"{name}, full queue released", fleet.released, "jobs/s", budget, peer, rates.released, detail),
        Figure(f"{name}, from submit on", fleet.submitted, "jobs/s", None, peer, rates.submitted, detail),
    ]


def _rates(contender: Contender, server: Server, jobs: int) -> Rates:
    contender.submit(_WARM_UPS)()
    began = time.time()
    submitted = jobs / (contender.submit(jobs)() - began)
    hold(contender.worker, server)
    last_end = contender.submit(jobs)
    began = time.time()
    release(contender.worker)
    return Rates(released=jobs / (last_end() - began), submitted=submitted)


@contextmanager
def _fleet(server: Server) -> Iterator[Contender]:
    with fleet_worker(server, _FLEET_SLOTS) as worker:

        def submit(count: int) -> Callable[[], float]:
            jobs = worker.client.submit_many(drafts.of_command("true") for _ in range(count))
            return partial(_fleet_end, worker, jobs)

        yield Contender(worker, submit)


def _fleet_end(worker: FleetWorker, jobs: list[Job]) -> float:
    broker = worker.client.broker
    view = FleetView(broker.redis, broker.keys)

    def is_empty() -> bool:
        depth = view.queues()[worker.queue]
        return depth.waiting + depth.running == 0

    until(is_empty, "all jobs to end", _LIMIT_SECONDS, _LOOK_SECONDS)
    return max(_accounted_end(job) for job in jobs)


def _accounted_end(job: Job) -> float:
    """Give when the job ended; it counts only with its exact cost in its record."""
    facts = job.facts()
    record = facts["record"]
    if facts["state"] is not State.SUCCEEDED or record is None or record["usage"].get("user_time_seconds") is None:
        raise BenchmarkFailed(f"job {job.id} was not accounted: {facts['state']}, record {record}")
    return float(facts["ended_at"])


@contextmanager
def _celery(server: Server, pool: str, slots: int) -> Iterator[Contender]:
    with celery_worker(server, pool, slots) as worker:

        def submit(count: int) -> Callable[[], float]:
            worker.marks.unlink(missing_ok=True)
            for _ in range(count):
                worker.control.send_task(RUN, [["true"]])
            return partial(_celery_end, worker, count)

        yield Contender(worker, submit)


def _celery_end(worker: CeleryWorker, count: int) -> float:
    until(lambda: len(worker.done()) >= count, "all tasks to end", _LIMIT_SECONDS, _LOOK_SECONDS)
    return max(worker.done()) / 1e9
