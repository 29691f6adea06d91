"""How fast a worker gets through `true` jobs, each fully accounted, beside other systems calling subprocess.run.

Twice for each contender, in turn with all others: through a queue that is full at the start, from the first end to the
last, and from the start of submitting to a worker that waits.
"""

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import psutil

from benchmarks.contender import FleetWorker, fleet_worker
from benchmarks.effort import Effort
from benchmarks.figure import BenchmarkFailed, Figure, at_least
from benchmarks.peers.peer import Peer
from benchmarks.process import check_alive, held
from benchmarks.server import Server, running_server
from benchmarks.waiting import until
from scriptfleet.domain.state import State
from scriptfleet.queues import drafts
from scriptfleet.queues.fleet import FleetView
from scriptfleet.queues.job_handle import Job

DEFAULT_JOBS, _QUICK_JOBS = 5_000, 100
_ROUNDS = 2
_SLOTS, _CORES = 4, 2
_WARM_UPS = 50
#: How often the end is looked for; when it was is read afterwards, exactly.
_LOOK_SECONDS = 0.05
#: A contender may need so long for all, whatever its pace.
_LEAST_SECONDS, _SECONDS_A_JOB = 60.0, 0.03
_FLEET = f"fleet -c {_SLOTS}"


@dataclass(frozen=True, slots=True)
class Ends:
    """Wall clock of the first and the last end."""

    first: float
    last: float


@dataclass(frozen=True, slots=True)
class Contender:
    """A worker and what differs between kinds of it."""

    process: psutil.Process
    #: Submits so many jobs; called again it waits for their ends and tells of them.
    submit: Callable[[int], Callable[[], Ends]]


@dataclass(frozen=True, slots=True)
class Rates:
    """Jobs per second."""

    released: float
    submitted: float


Opened = Callable[[Server], AbstractContextManager[Contender]]


def measure(effort: Effort) -> list[Figure]:
    """Take all contenders in each round, on one server that is emptied in between."""
    jobs = effort.jobs or (_QUICK_JOBS if effort.is_quick else DEFAULT_JOBS)
    contenders = {_FLEET: _fleet, **_peers()}
    taken: dict[str, list[Rates]] = {name: [] for name in contenders}
    with running_server() as server:
        for number in range(1 if effort.is_quick else _ROUNDS):
            # Every other round goes backwards, so that a slow drift of the machine meets all alike.
            for name in list(contenders)[:: -1 if number % 2 else 1]:
                taken[name].append(_taken(contenders[name], server, jobs))
                server.empty()
    rates = {name: _middle(found) for name, found in taken.items()}
    ours, detail = rates.pop(_FLEET), {"jobs": jobs, "rounds": len(taken[_FLEET])}
    best_prefork = max((name for name in rates if "prefork" in name), key=lambda name: rates[name].released)
    return [
        figure
        for name, rate in rates.items()
        for figure in _figures(ours, name, rate, detail, is_bound=name == best_prefork)
    ]


def _peers() -> dict[str, Opened]:
    peers: dict[str, tuple[str, tuple[Any, ...]]] = {
        f"Celery prefork -c {_CORES}": ("celery", ("prefork", _CORES)),
        f"Celery prefork -c {_SLOTS}": ("celery", ("prefork", _SLOTS)),
        f"Celery threads -c {_SLOTS}": ("celery", ("threads", _SLOTS)),
        f"RQ, {_SLOTS} simple workers": ("rq", (_SLOTS,)),
        f"Dramatiq, {_CORES} x {_SLOTS // _CORES} threads": ("dramatiq", (_CORES, _SLOTS // _CORES)),
        f"Huey, {_SLOTS} threads": ("huey", (_SLOTS,)),
    }
    there = {name for name, (package, _) in peers.items() if find_spec(package)}
    for name in peers.keys() - there:
        print(f"drain: {name}: not taken: pip install {peers[name][0]}", flush=True)
    return {name: partial(_beside, *peers[name]) for name in peers if name in there}


def _figures(ours: Rates, peer: str, rates: Rates, detail: dict[str, int], *, is_bound: bool) -> list[Figure]:
    name = f"{detail['jobs']:,} `true`, {_FLEET}"
    budget = at_least(1.5 * rates.released) if is_bound else None
    return [
        Figure(f"{name}, full queue", ours.released, "jobs/s", budget, peer, rates.released, detail),
        Figure(f"{name}, from submit on", ours.submitted, "jobs/s", None, peer, rates.submitted, detail),
    ]


def _middle(found: list[Rates]) -> Rates:
    return Rates(
        released=statistics.median(one.released for one in found),
        submitted=statistics.median(one.submitted for one in found),
    )


def _taken(opened: Opened, server: Server, jobs: int) -> Rates:
    with opened(server) as contender:
        contender.submit(_WARM_UPS)()
        began = time.time()
        submitted = jobs / (contender.submit(jobs)().last - began)
        with held(contender.process):
            wait = contender.submit(jobs)
        ends = wait()
    # How long a worker takes to notice that it may go on, some sleep meanwhile, is not its pace.
    return Rates(released=(jobs - 1) / (ends.last - ends.first), submitted=submitted)


def _limit_seconds(jobs: int) -> float:
    return max(_LEAST_SECONDS, jobs * _SECONDS_A_JOB)


@contextmanager
def _fleet(server: Server) -> Iterator[Contender]:
    with fleet_worker(server, _SLOTS) as worker:

        def submit(count: int) -> Callable[[], Ends]:
            jobs = worker.client.submit_many(drafts.of_command("true") for _ in range(count))
            return partial(_fleet_ends, worker, jobs)

        yield Contender(worker.process, submit)


def _fleet_ends(worker: FleetWorker, jobs: list[Job]) -> Ends:
    broker = worker.client.broker
    view = FleetView(broker.redis, broker.keys)

    def is_empty() -> bool:
        check_alive(worker.process, worker.log)
        depth = view.queues()[worker.queue]
        return depth.waiting + depth.running == 0

    until(is_empty, "all jobs to end", _limit_seconds(len(jobs)), _LOOK_SECONDS)
    ends = [_accounted_end(job) for job in jobs]
    return Ends(min(ends), max(ends))


def _accounted_end(job: Job) -> float:
    """Give when the job ended; it counts only with its exact cost in its record."""
    facts = job.facts()
    record = facts["record"]
    if facts["state"] is not State.SUCCEEDED or record is None or record["usage"].get("user_time_seconds") is None:
        raise BenchmarkFailed(f"job {job.id} was not accounted: {facts['state']}, record {record}")
    return float(facts["ended_at"])


@contextmanager
def _beside(package: str, sizes: tuple[Any, ...], server: Server) -> Iterator[Contender]:
    # The module of a peer that is not installed cannot be imported.
    with import_module(f"benchmarks.peers.{package}").opened(server, *sizes) as peer:

        def submit(count: int) -> Callable[[], Ends]:
            peer.marks.clear()
            peer.send(count)
            return partial(_peer_ends, peer, count)

        yield Contender(peer.process, submit)


def _peer_ends(peer: Peer, count: int) -> Ends:
    def is_over() -> bool:
        check_alive(peer.process, peer.log)
        return len(peer.marks.done()) >= count

    until(is_over, "all tasks to end", _limit_seconds(count), _LOOK_SECONDS)
    ends = peer.marks.done()
    return Ends(min(ends) / 1e9, max(ends) / 1e9)
