"""How soon a killed worker's job starts again, and how often a job starts while the broker is away, beside Celery."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TypeVar

import psutil

from benchmarks.celery_late_tasks import VISIBILITY_SECONDS
from benchmarks.celery_tasks import RUN
from benchmarks.contender import CeleryWorker, FleetWorker, celery_worker, fleet_worker
from benchmarks.effort import Effort
from benchmarks.figure import BenchmarkFailed, Figure, at_most
from benchmarks.process import held
from benchmarks.server import Server, running_server
from benchmarks.waiting import until
from scriptfleet.domain.state import State
from scriptfleet.queues.claims import lease_seconds
from scriptfleet.queues.fleet import FleetView
from scriptfleet.queues.job_handle import Job

_T = TypeVar("_T")

_KILLED_JOBS = 3
#: Age at which the broker goes away, and for how long: half of the lease that a run of this age has.
_AWAY_AT_SECONDS, _QUICK_AWAY_AT_SECONDS = 120.0, 2.0
_LIMIT_SECONDS = 90.0
_LATE = "benchmarks.celery_late_tasks"
#: Long enough for Celery to find once that it is not acknowledged.
_LONG_TASK_SECONDS = VISIBILITY_SECONDS + 3


def measure(effort: Effort) -> list[Figure]:
    """Take each on a server of its own."""
    age = _QUICK_AWAY_AT_SECONDS if effort.is_quick else _AWAY_AT_SECONDS
    restarts, peer = _on(_fleet_restarts), f"Celery acks_late, visibility timeout {VISIBILITY_SECONDS} s"
    celery = _on(_celery_restarts)
    detail: dict[str, float | int | str] = {"jobs": len(restarts), "first_s": min(restarts)}
    # As documented: what is not acknowledged is delivered again after an hour, and never without acks_late.
    detail["celery_by_default"] = "an hour with acks_late, else never"
    away = lease_seconds(age) / 2
    name = f"starts of a job, broker away for {away:g} s at an age of {age:g} s"
    starts, twice = _on(lambda server: _starts_with_broker_away(server, age, away)), _on(_celery_starts)
    longer = f"{peer}, a task of {_LONG_TASK_SECONDS} s, broker there"
    return [
        Figure("killed worker's young job starts again after", max(restarts), "s", at_most(20), peer, celery, detail),
        Figure(name, starts, "starts", at_most(1), longer, twice, {"lease_s": lease_seconds(age)}),
    ]


def _on(action: Callable[[Server], _T]) -> _T:
    with running_server() as server:
        return action(server)


def _stamping(path: Path, seconds: float) -> str:
    """Give a command for bash that leaves the microsecond of its start in a file, and goes on for a while."""
    return f"echo ${{EPOCHREALTIME//[.,]/}} >> {path}; exec sleep {seconds:g}"


def _stamps(path: Path) -> list[float]:
    return [int(line) / 1e6 for line in path.read_text().split()] if path.exists() else []


def _seconds_to_restart(kill: Callable[[], None], paths: list[Path]) -> list[float]:
    """Kill what runs the jobs that leave these stamps; give how long each took to start again."""
    killed_at = time.time()
    kill()
    until(lambda: all(len(_stamps(path)) > 1 for path in paths), "the jobs to start again", _LIMIT_SECONDS)
    return [_stamps(path)[1] - killed_at for path in paths]


def _kill(process: psutil.Process) -> None:
    process.kill()
    process.wait()


def _fleet_restarts(server: Server) -> list[float]:
    paths = [server.folder / f"starts-{number}" for number in range(_KILLED_JOBS)]
    with fleet_worker(server, _KILLED_JOBS) as first:
        jobs = [first.client.submit_shell(_stamping(path, _LIMIT_SECONDS), shell="bash") for path in paths]
        until(lambda: all(map(_stamps, paths)), "the jobs to start")
        with _another(server, first), _cancelled(jobs):
            return _seconds_to_restart(lambda: _kill(first.process), paths)


@contextmanager
def _another(server: Server, first: FleetWorker) -> Iterator[FleetWorker]:
    broker = first.client.broker
    view = FleetView(broker.redis, broker.keys)
    with fleet_worker(server, _KILLED_JOBS) as second:
        until(lambda: len(view.workers()) == 2, "a second worker")
        yield second


@contextmanager
def _cancelled(jobs: list[Job]) -> Iterator[None]:
    """Have the jobs end with the block, so that no worker waits for them."""
    try:
        yield
    finally:
        for job in jobs:
            job.cancel()
        for job in jobs:
            job.wait(20)


def _starts_with_broker_away(server: Server, age: float, away: float) -> float:
    path = server.folder / "starts"
    with fleet_worker(server, 1) as worker, _another(server, worker):
        job = worker.client.submit_shell(_stamping(path, age + 2 * away), shell="bash")
        until(lambda: _stamps(path), "the job to start")
        until(lambda: time.time() - _stamps(path)[0] > age, "the job to grow old", within=age + 10, every=0.1)
        with held(server.process):
            time.sleep(away)
        if (state := job.wait(age + 4 * away)) is not State.SUCCEEDED:
            raise BenchmarkFailed(f"job {job.id} ended as {state}")
        return len(_stamps(path))


def _celery_restarts(server: Server) -> float:
    path = server.folder / "starts"
    with _late_worker(server) as first:
        _send(first, path, _LIMIT_SECONDS)
        until(lambda: _stamps(path), "the task to start")
        with _late_worker(server) as second:
            seconds = max(_seconds_to_restart(lambda: _kill_family(first.process), [path]))
            # It would wait for the task.
            _kill_family(second.process)
        return seconds


def _celery_starts(server: Server) -> float:
    path = server.folder / "starts"
    with _late_worker(server) as worker, _late_worker(server):
        _send(worker, path, _LONG_TASK_SECONDS)
        until(worker.marks.done, "the task to end", within=2.0 * _LONG_TASK_SECONDS, every=0.1)
        return len(_stamps(path))


def _late_worker(server: Server) -> AbstractContextManager[CeleryWorker]:
    return celery_worker(server, "prefork", 1, _LATE)


def _send(worker: CeleryWorker, path: Path, seconds: float) -> None:
    worker.control.send_task(RUN, [["bash", "-c", _stamping(path, seconds)]])


def _kill_family(process: psutil.Process) -> None:
    for one in [*process.children(recursive=True), process]:
        one.kill()
    process.wait()
