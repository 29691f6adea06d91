"""From submit to the script's first instruction, on an idle worker, beside bare Celery from enqueue to task body."""

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.celery_tasks import STAMP
from benchmarks.contender import CeleryWorker, celery_worker, fleet_worker
from benchmarks.effort import Effort
from benchmarks.figure import BenchmarkFailed, Figure, at_most
from benchmarks.server import Server, running_server
from benchmarks.timing import percentile
from benchmarks.waiting import until
from scriptfleet.config import own_environment
from scriptfleet.execution import environment
from scriptfleet.queues.client import Client
from scriptfleet.queues.job_handle import Job

_SAMPLES, _WARM_UPS, _BARE_STARTS = 100, 5, 30
_APART_SECONDS = 0.025
_SLOTS = 2
#: The first instruction is one of bash's own: nothing is forked to read the clock.
_SHELL = "printf %s ${EPOCHREALTIME//[.,]/}000"
_PYTHON = "import time; print(time.time_ns())\n"


def measure(effort: Effort) -> list[Figure]:
    """Take samples of each kind on the same server, one worker after the other."""
    with running_server() as server:
        script = server.folder / "stamp.py"
        script.write_text(_PYTHON)
        bare_before = _bare_starts(script)
        with fleet_worker(server, _SLOTS) as worker:
            client = worker.client
            shell = _latencies(client, lambda: client.submit_shell(_SHELL, shell="bash"))
            python = _latencies(client, lambda: client.submit(script))
        bare = [*bare_before, *_bare_starts(script)]
        server.empty()
        celery = _celery_latencies(server)
    return _figures(shell, python, bare, celery)


def _figures(shell: list[float], python: list[float], bare: list[float], celery: list[float]) -> list[Figure]:
    peer, interpreter = f"Celery threads -c {_SLOTS}, task body", statistics.median(bare)
    parts = {"fleet_p50_ms": statistics.median(python), "interpreter_p50_ms": interpreter, "samples": len(python)}
    over = [one - interpreter for one in python]
    return [
        Figure("shell, p50", percentile(shell, 50), "ms", at_most(8), peer, percentile(celery, 50), _spread(shell)),
        Figure("shell, p99", percentile(shell, 99), "ms", at_most(25), peer, percentile(celery, 99)),
        Figure("cold Python over the interpreter's start, p50", percentile(over, 50), "ms", at_most(20), detail=parts),
        Figure("cold Python over the interpreter's start, p99", percentile(over, 99), "ms", detail=_spread(python)),
        Figure("cold Python in all, p50", percentile(python, 50), "ms", None, "python alone", interpreter),
    ]


def _spread(samples: list[float]) -> dict[str, float]:
    return {"samples": len(samples), "min_ms": min(samples), "max_ms": max(samples)}


def _latencies(client: Client, submit: Callable[[], Job]) -> list[float]:
    """Give milliseconds; results are fetched when all is over, so that asking for them disturbs nothing."""
    for _ in range(_WARM_UPS):
        submit().wait(10)
    sent = []
    for _ in range(_SAMPLES):
        sent.append((time.time_ns(), submit()))
        time.sleep(_APART_SECONDS)
    return [(_first_instruction_ns(job) - at) / 1e6 for at, job in sent]


def _first_instruction_ns(job: Job) -> int:
    result = job.result(10)
    if not result.stdout.strip().isdigit():
        raise BenchmarkFailed(
            f"job {job.id} was to print a time: {result.outcome}, {result.stdout!r} {result.stderr!r}"
        )
    return int(result.stdout)


def _bare_starts(script: Path) -> list[float]:
    """Give milliseconds from starting the interpreter to the script's first line, with a fleet's environment."""
    env = environment.clean(own_environment()) | {"PYTHONUNBUFFERED": "1"}
    samples = []
    for _ in range(_BARE_STARTS):
        started = time.time_ns()
        done = subprocess.run([sys.executable, str(script)], env=env, capture_output=True, check=True, timeout=10)
        samples.append((int(done.stdout) - started) / 1e6)
    return samples


def _celery_latencies(server: Server) -> list[float]:
    with celery_worker(server, "threads", _SLOTS) as worker:
        _send_stamps(worker, _WARM_UPS)
        _send_stamps(worker, _SAMPLES)
        return [taken / 1e6 for taken in worker.marks.done()[_WARM_UPS:]]


def _send_stamps(worker: CeleryWorker, count: int) -> None:
    already = len(worker.marks.done())
    for _ in range(count):
        worker.control.send_task(STAMP, [time.time_ns()])
        time.sleep(_APART_SECONDS)
    until(lambda: len(worker.marks.done()) == already + count, "all tasks to be done")
