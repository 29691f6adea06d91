"""Many workers on one server: how much of the ideal pace is left, what the server has to do, what a tick costs it.

The workers are simulated: heartbeats, claims, finishes and messages are real, by the fleet's own code, each slot is a
thread and a job lasts 100 ms without a script. So one machine holds many, and the server is what is measured.
"""

import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial

import psutil

from benchmarks.effort import Effort
from benchmarks.figure import BenchmarkFailed, Figure, at_least, at_most
from benchmarks.process import check_alive, held, started
from benchmarks.server import Server, running_server
from benchmarks.server_time import script_us
from benchmarks.simulated_worker import JOB_SECONDS
from benchmarks.waiting import until
from scriptfleet.config import environment_of
from scriptfleet.queues import drafts
from scriptfleet.queues.claims import Claims
from scriptfleet.queues.client import Client
from scriptfleet.queues.fleet import FleetView

_WORKERS, _QUICK_WORKERS = (1, 10, 50), (1, 4)
_SLOTS = 2
#: Threads of one interpreter hold each other up: so many simulated workers share a process.
_WORKERS_A_PROCESS = 13
_SECONDS, _QUICK_SECONDS = 20.0, 1.0
_TICKS = 100
_QUEUE, _LOG = "default", "workers.log"


@dataclass(frozen=True, slots=True)
class _Pace:
    """What a fleet of one size did."""

    workers: int
    jobs_per_second: float
    #: Share of a core that the server used.
    server_share: float
    tick_us: float

    @property
    def share_of_ideal(self) -> float:
        """How much of what its slots could do at best."""
        return self.jobs_per_second * JOB_SECONDS / (self.workers * _SLOTS)


def measure(effort: Effort) -> list[Figure]:
    """Take each size on a server of its own."""
    seconds = _QUICK_SECONDS if effort.is_quick else _SECONDS
    paces = [_pace(workers, seconds) for workers in (_QUICK_WORKERS if effort.is_quick else _WORKERS)]
    return [figure for pace in paces for figure in _figures(pace, paces[0], seconds)]


def _figures(pace: _Pace, alone: _Pace, seconds: float) -> list[Figure]:
    name = f"{pace.workers} worker{'s' * (pace.workers > 1)} -c {_SLOTS}, jobs of {JOB_SECONDS * 1000:g} ms"
    peer = None if pace is alone else "1 worker"
    detail = {"jobs_per_second": round(pace.jobs_per_second, 1), "seconds": seconds}
    share, beside = 100 * pace.share_of_ideal, 100 * alone.share_of_ideal if peer else None
    budget = None if beside is None else at_least(0.9 * beside)
    ticks = 100 * pace.tick_us * pace.workers / 1e6
    # No budget was set for this: what one worker reaches here tells what is lost by being many.
    return [
        Figure(f"{name}: share of ideal", share, "%", budget, peer, beside, detail),
        Figure("  the server's CPU", 100 * pace.server_share, "% of a core", None, detail=detail),
        Figure("  the server's time for one tick", pace.tick_us, "us", None, peer, alone.tick_us if peer else None),
        Figure("  for all ticks, one a worker and second", ticks, "% of a core", at_most(5)),
    ]


def _pace(workers: int, seconds: float) -> _Pace:
    with running_server() as server, _fleet(server, workers) as processes:
        fleet = _Watched(server, Client(settings=server.settings))
        until(partial(fleet.has, workers, processes), "all workers to be there", within=60.0)
        ideal = workers * _SLOTS / JOB_SECONDS
        # More than they can do, so that nobody waits for work.
        fleet.submit(round(ideal * (seconds + 4) * 1.2))
        until(lambda: fleet.done() > ideal / 2, "jobs to end", within=30.0)
        rate, share = fleet.observe(seconds)
        if not fleet.view.queues()[_QUEUE].waiting:
            raise BenchmarkFailed("the fleet ran out of jobs")
        with ExitStack() as stopped:
            for process in processes:
                stopped.enter_context(held(process))
            tick_us = fleet.tick_us()
    return _Pace(workers, rate, share, tick_us)


class _Watched:
    """A fleet on a server, seen from outside."""

    def __init__(self, server: Server, client: Client) -> None:
        self._server, self._client, self._submitted = server, client, 0
        self.view = FleetView(client.broker.redis, client.broker.keys)

    def submit(self, count: int) -> None:
        self._submitted += len(self._client.submit_many(drafts.of_command("true") for _ in range(count)))

    def has(self, workers: int, processes: list[psutil.Process]) -> bool:
        for process in processes:
            check_alive(process, self._server.folder / _LOG)
        return len(self.view.workers()) == workers

    def done(self) -> int:
        depth = self.view.queues()[_QUEUE]
        return self._submitted - depth.waiting - depth.running

    def observe(self, seconds: float) -> tuple[float, float]:
        """Give jobs per second over so many seconds, and the server's share of a core."""
        began, before, used = time.monotonic(), self.done(), self._cpu_seconds()
        time.sleep(seconds)
        jobs, used = self.done() - before, self._cpu_seconds() - used
        passed = time.monotonic() - began
        return jobs / passed, used / passed

    def tick_us(self) -> float:
        """Give the server's time for one tick, all workers there and none of them doing anything."""
        broker = self._client.broker
        claims = Claims(broker.redis, broker.keys, "benchmark", keep_seconds=3600)
        return script_us(self._server.client, lambda: [claims.tick() for _ in range(_TICKS)], _TICKS)

    def _cpu_seconds(self) -> float:
        times = self._server.process.cpu_times()
        return float(times.user + times.system)


@contextmanager
def _fleet(server: Server, workers: int) -> Iterator[list[psutil.Process]]:
    """Run simulated workers, some in each process, while the block lasts."""
    with ExitStack() as stack:
        processes = []
        for first in range(0, workers, _WORKERS_A_PROCESS):
            count = min(_WORKERS_A_PROCESS, workers - first)
            command = [sys.executable, "-m", "benchmarks.simulated_worker", str(count), str(_SLOTS)]
            log, env = server.folder / _LOG, environment_of(server.settings)
            processes.append(stack.enter_context(started(command, log, env)))
        yield processes
