"""What reading running scripts costs in CPU, beside walking the same tree with psutil."""

import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import psutil

from benchmarks.effort import Effort
from benchmarks.figure import Figure, at_most
from benchmarks.waiting import until
from scriptfleet.domain.outcome import StopReason
from scriptfleet.execution.engine import Engine, Running
from scriptfleet.execution.environment import clean
from scriptfleet.execution.plan import Plan
from scriptfleet.execution.program import find_program

_SECONDS, _QUICK_SECONDS = 6.0, 0.5
_LIMIT_SECONDS = 40.0
_FIVE = "sleep 40 & sleep 40 & sleep 40 & sleep 40 & wait"
#: Each of four has run by the time of each reading; the fifth is the shell.
_FIVE_AWAKE = f"for each in 1 2 3 4; do {sys.executable} -ISc 'import time\nwhile True: time.sleep(0.05)' & done; wait"
_MANY_RUNS = 100


def measure(effort: Effort) -> list[Figure]:
    """Take one run of five processes at 10 Hz both ways, asleep and awake, then a hundred runs at 1 Hz."""
    seconds = _QUICK_SECONDS if effort.is_quick else _SECONDS
    ours, walked = _of_five(_FIVE, seconds)
    awake, walked_awake = _of_five(_FIVE_AWAKE, seconds)
    with _running(Engine(1.0), "exec sleep 40", _MANY_RUNS):
        many = _percent_of(_sampler_clock(), seconds)
    detail = {"seconds": seconds, "processes_on_machine": len(psutil.pids())}
    return [
        Figure("one run of 5 processes at 10 Hz", ours, "% of a core", at_most(0.3), "psutil walk", walked, detail),
        Figure("the same, four awake", awake, "% of a core", None, "psutil walk", walked_awake, detail),
        Figure(f"{_MANY_RUNS} runs at 1 Hz", many, "% of a core", at_most(3), detail=detail),
    ]


def _of_five(command: str, seconds: float) -> tuple[float, float]:
    """Give percent of a core for one run of five processes at 10 Hz: the sampler's, and that of walks."""
    with _running(Engine(0.1), command, 1) as runs:
        # The shell has started all its children once they are there to be seen.
        shim = psutil.Process(runs[0].shim_pid)
        until(lambda: len(shim.children(recursive=True)) == 5, "five processes")
        return _percent_of(_sampler_clock(), seconds), _percent_of_walks(runs[0].main_pid, seconds)


@contextmanager
def _running(engine: Engine, command: str, count: int) -> Iterator[list[Running]]:
    runs: list[Running] = []
    with tempfile.TemporaryDirectory(prefix="sf-bench-") as folder, ThreadPoolExecutor(count) as pool:
        plans = [_plan(command, Path(folder), number) for number in range(count)]
        ends = [pool.submit(engine.run, plan, runs.append) for plan in plans]
        try:
            until(lambda: len(runs) == count, "all runs to start")
            yield runs
        finally:
            for run in runs:
                run.stop(StopReason.CANCELLED, 0.0)
            for end in ends:
                end.result(_LIMIT_SECONDS)
            engine.close()


def _plan(command: str, folder: Path, number: int) -> Plan:
    argv = [find_program("sh"), "-c", command]
    out, err = folder / f"{number}.out", folder / f"{number}.err"
    return Plan(argv, clean({}), folder, out, err, timeout_seconds=_LIMIT_SECONDS)


def _sampler_clock() -> Callable[[], float]:
    """Give the CPU clock of the engine's one sampling thread."""
    thread = next(one for one in threading.enumerate() if one.name == "sampler")
    if thread.ident is None:
        raise RuntimeError("a thread that is enumerated has started")
    clock = time.pthread_getcpuclockid(thread.ident)
    return lambda: time.clock_gettime(clock)


def _percent_of(clock: Callable[[], float], seconds: float) -> float:
    began, at = clock(), time.monotonic()
    time.sleep(seconds)
    return 100.0 * (clock() - began) / (time.monotonic() - at)


def _percent_of_walks(pid: int, seconds: float) -> float:
    """Read what the sampler reads, the way psutil's documentation shows, at 10 Hz; give percent of a core."""
    root = psutil.Process(pid)
    began, at = time.thread_time(), time.monotonic()
    while time.monotonic() - at < seconds:
        for one in [root, *root.children(recursive=True)]:
            with one.oneshot():
                one.cpu_times()
                one.memory_info()
                one.num_threads()
        time.sleep(0.1)
    return 100.0 * (time.thread_time() - began) / (time.monotonic() - at)
