"""From submit to the script's first instruction, idle and under load, beside bare Celery from enqueue to task body."""

import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.celery_tasks import RUN, STAMP
from benchmarks.contender import CeleryWorker, celery_worker, fleet_worker
from benchmarks.effort import Effort
from benchmarks.figure import BenchmarkFailed, Budget, Figure, at_most
from benchmarks.server import Server, running_server
from benchmarks.timing import percentile
from benchmarks.waiting import until
from scriptfleet.config import own_environment
from scriptfleet.execution import environment
from scriptfleet.queues.client import Client
from scriptfleet.queues.job_handle import Job

_SAMPLES, _QUICK_SAMPLES = 100, 5
_BARE_STARTS, _QUICK_BARE_STARTS = 30, 3
_WARM_UPS = 5
_APART_SECONDS = 0.025
_SLOTS, _LOADED_SLOTS = 2, 4
#: Under load a job of so many seconds comes so often: half of the slots are busy at any time.
_LOAD, _LOAD_EVERY_SECONDS = ("sleep", "0.1"), 0.05
#: The first instruction is one of bash's own: nothing is forked to read the clock.
_SHELL = "printf %s ${EPOCHREALTIME//[.,]/}000"
_PYTHON = "import time; print(time.time_ns())\n"
#: Of what starts no interpreter, by percentile.
_BUDGETS = {50: at_most(8), 99: at_most(25)}
#: A peer's tasks leave latencies and, as its load, moments since the epoch: this is between the two.
_LONGEST_NS = 3600 * 10**9


@dataclass(frozen=True, slots=True)
class _Taken:
    """Milliseconds of each sample."""

    shell: list[float]
    warm: list[float]
    python: list[float]
    bare: list[float]
    celery: list[float]
    loaded: list[float]
    celery_loaded: list[float]


def measure(effort: Effort) -> list[Figure]:
    """Take samples of each kind on the same server, one worker after the other."""
    samples, starts = effort.of(_SAMPLES, _QUICK_SAMPLES), effort.of(_BARE_STARTS, _QUICK_BARE_STARTS)
    with running_server() as server:
        script = server.folder / "stamp.py"
        script.write_text(_PYTHON)
        bare = _bare_starts(script, starts)
        with fleet_worker(server, _SLOTS) as worker:
            shell = _latencies(worker.client, _submit_shell, samples)
            warm = _latencies(worker.client, lambda client: client.submit(script, warm=True), samples)
            python = _latencies(worker.client, lambda client: client.submit(script), samples)
        bare += _bare_starts(script, starts)
        server.empty()
        celery = _celery_latencies(server, samples)
        server.empty()
        loaded = _loaded_latencies(server, samples)
        server.empty()
        celery_loaded = _celery_loaded_latencies(server, samples)
    return _figures(_Taken(shell, warm, python, bare, celery, loaded, celery_loaded))


def _figures(taken: _Taken) -> list[Figure]:
    python, interpreter = taken.python, statistics.median(taken.bare)
    peer, busy = f"Celery threads -c {_SLOTS}, task body", f"Celery threads -c {_LOADED_SLOTS}, task body, loaded"
    parts = {"fleet_p50_ms": statistics.median(python), "interpreter_p50_ms": interpreter, "samples": len(python)}
    over = [one - interpreter for one in python]
    name = f"shell, {_LOADED_SLOTS // 2} of {_LOADED_SLOTS} slots busy"
    return [
        _beside(taken.shell, 50, "shell, p50", _BUDGETS[50], peer, taken.celery),
        _beside(taken.shell, 99, "shell, p99", _BUDGETS[99], peer, taken.celery),
        _beside(taken.warm, 50, "warm Python, p50", _BUDGETS[50], peer, taken.celery),
        _beside(taken.warm, 99, "warm Python, p99", _BUDGETS[99], peer, taken.celery),
        _beside(taken.loaded, 50, f"{name}, p50", None, busy, taken.celery_loaded),
        _beside(taken.loaded, 99, f"{name}, p99", None, busy, taken.celery_loaded),
        Figure("cold Python over the interpreter's start, p50", percentile(over, 50), "ms", at_most(20), detail=parts),
        Figure("cold Python over the interpreter's start, p99", percentile(over, 99), "ms", detail=_spread(python)),
        Figure("cold Python in all, p50", percentile(python, 50), "ms", None, "python alone", interpreter),
    ]


def _beside(
    samples: list[float], percent: float, name: str, budget: Budget | None, peer: str, theirs: list[float]
) -> Figure:
    taken, beside = percentile(samples, percent), percentile(theirs, percent)
    return Figure(name, taken, "ms", budget, peer, beside, _spread(samples))


def _spread(samples: list[float]) -> dict[str, float]:
    return {"samples": len(samples), "min_ms": min(samples), "max_ms": max(samples)}


def _submit_shell(client: Client) -> Job:
    return client.submit_shell(_SHELL, shell="bash")


def _latencies(client: Client, submit: Callable[[Client], Job], samples: int) -> list[float]:
    """Give milliseconds; results are fetched when all is over, so that asking for them disturbs nothing."""
    for _ in range(_WARM_UPS):
        submit(client).wait(10)
    sent = []
    for _ in range(samples):
        sent.append((time.time_ns(), submit(client)))
        time.sleep(_APART_SECONDS)
    return [(_first_instruction_ns(job) - at) / 1e6 for at, job in sent]


def _loaded_latencies(server: Server, samples: int) -> list[float]:
    with fleet_worker(server, _LOADED_SLOTS) as worker, _load(lambda: worker.client.submit_shell(" ".join(_LOAD))):
        return _latencies(worker.client, _submit_shell, samples)


@contextmanager
def _load(submit: Callable[[], object]) -> Iterator[None]:
    """Submit again and again while the block lasts."""
    stop = threading.Event()

    def keep_on() -> None:
        while not stop.wait(_LOAD_EVERY_SECONDS):
            submit()

    with ThreadPoolExecutor(1) as pool:
        ended = pool.submit(keep_on)
        try:
            yield
        finally:
            stop.set()
    ended.result()


def _first_instruction_ns(job: Job) -> int:
    result = job.result(10)
    if not result.stdout.strip().isdigit():
        raise BenchmarkFailed(
            f"job {job.id} was to print a time: {result.outcome}, {result.stdout!r} {result.stderr!r}"
        )
    return int(result.stdout)


def _bare_starts(script: Path, starts: int) -> list[float]:
    """Give milliseconds from starting the interpreter to the script's first line, with a fleet's environment."""
    env = environment.clean(own_environment()) | {"PYTHONUNBUFFERED": "1"}
    samples = []
    for _ in range(starts):
        started = time.time_ns()
        done = subprocess.run([sys.executable, str(script)], env=env, capture_output=True, check=True, timeout=10)
        samples.append((int(done.stdout) - started) / 1e6)
    return samples


def _celery_latencies(server: Server, samples: int) -> list[float]:
    with celery_worker(server, "threads", _SLOTS) as worker:
        return _stamped(worker, samples)


def _celery_loaded_latencies(server: Server, samples: int) -> list[float]:
    with (
        celery_worker(server, "threads", _LOADED_SLOTS) as worker,
        _load(lambda: worker.control.send_task(RUN, [list(_LOAD)])),
    ):
        return _stamped(worker, samples)


def _stamped(worker: CeleryWorker, samples: int) -> list[float]:
    for count in (_WARM_UPS, samples):
        worker.marks.clear()
        for _ in range(count):
            worker.control.send_task(STAMP, [time.time_ns()])
            time.sleep(_APART_SECONDS)
        until(partial(_has_stamps, worker, count), "all tasks to be done")
    return [taken / 1e6 for taken in _stamps(worker)]


def _has_stamps(worker: CeleryWorker, count: int) -> bool:
    return len(_stamps(worker)) == count


def _stamps(worker: CeleryWorker) -> list[int]:
    return [number for number in worker.marks.done() if number < _LONGEST_NS]
