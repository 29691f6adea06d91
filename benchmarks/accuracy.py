"""What is recorded held against what a script itself knows it used, by method and interval, beside GNU time."""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.effort import Effort
from benchmarks.figure import BenchmarkFailed, Figure, at_most
from scriptfleet.config import own_environment
from scriptfleet.domain.ids import new_job_id, new_run_id
from scriptfleet.domain.job import JobSpec
from scriptfleet.domain.usage import Usage
from scriptfleet.errors import EngineFailed
from scriptfleet.execution import environment
from scriptfleet.execution.cgroups.method import Method
from scriptfleet.execution.engine import Engine
from scriptfleet.execution.identity import Identity
from scriptfleet.execution.pipeline import Assignment, Surroundings, execute, this_host
from scriptfleet.execution.plan import Plan
from scriptfleet.execution.program import find_program
from scriptfleet.execution.secret import SecretChain
from scriptfleet.execution.workspace import Workspace
from scriptfleet.queues import drafts

_METHODS = (Method.CGROUP2, Method.CGROUP1, Method.RUSAGE)
_INTERVALS = (0.1, 1.0, 10.0)
_SLEEP_SECONDS, _SLEEPS = 0.2, 5
_LIMIT_SECONDS = 60.0
_CODE_LIMIT = 100_000

_KNOWING = """
import json, os, resource, time
def burn(seconds):
    until = time.process_time() + seconds
    while time.process_time() < until: pass
def used(*whose):
    return sum(one.ru_utime + one.ru_stime for one in map(resource.getrusage, whose))
"""
#: CPU time in a grandchild, memory held for a moment by one process.
_TREE = (
    _KNOWING
    + """
held = b'x' * (200 << 20)
resident = int(open('/proc/self/statm').read().split()[1]) * resource.getpagesize()
del held
if os.fork() == 0:
    if os.fork() == 0:
        burn(1.0); os._exit(0)
    os.wait(); os._exit(0)
os.wait()
print(json.dumps({'cpu': used(resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN), 'memory': resident}))
"""
)
#: CPU time in a daemon, which nobody but a subreaper waits for.
_DAEMON = (
    _KNOWING
    + """
told, telling = os.pipe()
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        burn(1.0); os.write(telling, str(used(resource.RUSAGE_SELF)).encode()); os._exit(0)
    os._exit(0)
os.wait()
print(json.dumps({'cpu': float(os.read(told, 99)) + used(resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)}))
"""
)


@dataclass(frozen=True, slots=True)
class _Errors:
    """How far measured lies from known: percent of the known, milliseconds for the duration."""

    cpu: float
    memory: float
    daemon: float
    duration_ms: float | None


def measure(effort: Effort) -> list[Figure]:
    """Take every method that this machine has, at every interval."""
    with tempfile.TemporaryDirectory(prefix="sf-bench-") as folder:
        peer = _by_gnu_time(Path(folder))
        methods, intervals = (_METHODS[-1:], _INTERVALS[:1]) if effort.is_quick else (_METHODS, _INTERVALS)
        return [figure for method in methods for figure in _of_method(method, intervals, Path(folder), peer)]


def _of_method(method: Method, intervals: Sequence[float], folder: Path, peer: _Errors | None) -> list[Figure]:
    figures: list[Figure] = []
    for interval in intervals:
        name = f"{method}, every {interval:g} s"
        try:
            with _engine(method, interval) as engine:
                figures += _figures(name, _by_engine(engine, folder), peer)
        except EngineFailed as fault:
            return [Figure(f"{method}", None, "%", at_most(2), detail={"why": str(fault)})]
    return figures


def _figures(name: str, taken: _Errors, peer: _Errors | None) -> list[Figure]:
    beside = "GNU time" if peer else None
    return [
        Figure(f"{name}: CPU, error", taken.cpu, "%", at_most(2), beside, None if peer is None else peer.cpu),
        Figure(
            f"{name}: CPU of a daemon, error",
            taken.daemon,
            "%",
            at_most(2),
            beside,
            None if peer is None else peer.daemon,
        ),
        Figure(
            f"{name}: peak memory, error", taken.memory, "%", at_most(2), beside, None if peer is None else peer.memory
        ),
        Figure(f"{name}: duration, error", taken.duration_ms, "ms", at_most(2)),
    ]


@contextmanager
def _engine(method: Method, interval: float) -> Iterator[Engine]:
    engine = Engine(interval, method=method)
    try:
        yield engine
    finally:
        engine.close()


def _by_engine(engine: Engine, folder: Path) -> _Errors:
    tree, known = _run(engine, folder, _TREE)
    daemon, known_daemon = _run(engine, folder, _DAEMON)
    return _Errors(
        _error(tree.cpu_seconds, known["cpu"]),
        _error((tree.memory_max_mb or 0.0) * 2**20, known["memory"]),
        _error(daemon.cpu_seconds, known_daemon["cpu"]),
        _duration_error_ms(engine, folder),
    )


def _duration_error_ms(engine: Engine, folder: Path) -> float:
    """Give how far the medians lie apart of a program's duration here and when it is started directly, in turn."""
    sleep = [find_program("sleep"), str(_SLEEP_SECONDS)]
    plan = Plan(sleep, own_environment(), folder, folder / "out", folder / "err", _LIMIT_SECONDS)
    direct, measured = [], []
    for _ in range(_SLEEPS):
        began = time.monotonic()
        os.waitpid(os.posix_spawn(sleep[0], sleep, plan.env), 0)
        direct.append(time.monotonic() - began)
        measured.append(engine.run(plan)[0].seconds)
    return 1000 * abs(statistics.median(measured) - statistics.median(direct))


def _error(measured: float | None, known: float) -> float:
    return 100.0 * abs((measured or 0.0) - known) / known


def _run(engine: Engine, folder: Path, code: str) -> tuple[Usage, dict[str, float]]:
    script = folder / "known.py"
    script.write_text(code)
    usage, said = _record(engine, folder, drafts.of_code(code, (), _CODE_LIMIT).spec, script)
    return usage, json.loads(said)


def _record(engine: Engine, folder: Path, spec: JobSpec, script: Path) -> tuple[Usage, str]:
    around = Surroundings(engine, environment.on_fleet(own_environment()), SecretChain(), cache=None)
    who = Identity(new_run_id(), new_job_id(), 1, "local", this_host())
    workspace = Workspace(folder / who.run_id)
    record = execute(around, Assignment(who, spec, workspace, script))
    workspace.remove()
    if not record.usage.success:
        raise BenchmarkFailed(f"a script of known cost ended as {record.outcome}: {record.usage.error_message}")
    return record.usage, record.stdout.text


def _by_gnu_time(folder: Path) -> _Errors | None:
    """Give how far off GNU time is, or None where it is not installed. It tells durations to 10 ms only."""
    program = shutil.which("time")
    if program is None or "GNU" not in _ask([program, "--version"]).stdout:
        return None
    cpu, memory, known = _timed(program, folder, _TREE)
    daemon_cpu, _, known_daemon = _timed(program, folder, _DAEMON)
    return _Errors(
        _error(cpu, known["cpu"]), _error(memory, known["memory"]), _error(daemon_cpu, known_daemon["cpu"]), None
    )


def _timed(program: str, folder: Path, code: str) -> tuple[float, float, dict[str, float]]:
    """Give CPU seconds and peak bytes by GNU time, and what the script knows."""
    script, told = folder / "timed.py", folder / "told"
    script.write_text(code)
    done = _ask([program, "-f", "%U %S %M", "-o", str(told), sys.executable, str(script)])
    user, system, peak_kb = map(float, told.read_text().split())
    return user + system, peak_kb * 1024, json.loads(done.stdout)


def _ask(command: Sequence[str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=_LIMIT_SECONDS)
