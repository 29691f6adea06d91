"""From asking for a run to the script's first line after its imports: a warm interpreter, a cold run, python alone."""

import importlib.util
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.effort import Effort
from benchmarks.figure import BenchmarkFailed, Figure, at_most
from benchmarks.timing import percentile
from scriptfleet.config import own_environment
from scriptfleet.execution.engine import Engine
from scriptfleet.execution.environment import clean
from scriptfleet.execution.plan import Plan

_WARM_RUNS, _COLD_RUNS, _WARM_UPS = 100, 10, 3
_LIMIT_SECONDS = 60.0
#: The first set is what the budget is about; the second is on every machine.
_SETS: tuple[tuple[str, ...], ...] = (
    ("numpy", "pandas"),
    ("asyncio", "http.client", "email.message", "xml.etree.ElementTree", "decimal", "unittest.mock"),
)
_BUDGET = at_most(10)


def measure(effort: Effort) -> list[Figure]:
    """Take each set of modules that is installed; a set that is not is told by name."""
    with tempfile.TemporaryDirectory(prefix="sf-bench-") as folder:
        return [figure for modules in _SETS for figure in _of_modules(modules, Path(folder), effort)]


def _of_modules(modules: tuple[str, ...], folder: Path, effort: Effort) -> list[Figure]:
    name = ", ".join(modules[:2]) + (f" and {len(modules) - 2} more" if len(modules) > 2 else "")
    if missing := [one for one in modules if importlib.util.find_spec(one) is None]:
        print(f"warm_start: {name}: not taken: pip install {' '.join(missing)}", flush=True)
        return [Figure(f"{name}: warm, p50", None, "ms", _BUDGET, detail={"not_installed": ", ".join(missing)})]
    script = folder / "first_line.py"
    script.write_text(f"import {', '.join(modules)}\nimport time\nprint(time.time_ns())\n")
    cold_runs, env = effort.of(_COLD_RUNS, 1), own_environment()
    engine = Engine(warm_env=env)
    try:
        warm = _taken(_by_engine(engine, script, modules), effort.of(_WARM_RUNS, 5))
        cold = _taken(_by_engine(engine, script, None), cold_runs)
    finally:
        engine.close()
    alone = _taken(_alone(script), cold_runs)
    peer, middle = "python alone", percentile(alone, 50)
    commands = _of_commands(script, modules, folder, cold_runs)
    detail = {"runs": len(warm), "cold_runs": len(cold), "max_ms": max(warm)}
    return [
        Figure(f"{name}: warm, p50", percentile(warm, 50), "ms", _BUDGET, peer, middle, detail),
        Figure(f"{name}: warm, p99", percentile(warm, 99), "ms", None, peer, percentile(alone, 99)),
        Figure(f"{name}: cold, p50", percentile(cold, 50), "ms", None, peer, middle),
        *(
            Figure(f"{name}: {how}, whole, p50", taken, "ms", None, "python, whole", whole)
            for how, taken, whole in commands
        ),
    ]


def _of_commands(script: Path, modules: tuple[str, ...], folder: Path, runs: int) -> list[tuple[str, float, float]]:
    """Take whole commands, in turn: a second call of ``run --warm``, a cold ``run``, and python alone."""
    run = [sys.executable, "-m", "scriptfleet", "run", "--quiet", "--disable-history"]
    warm = [*run, "--warm", "--preload", ",".join(modules), str(script)]
    env = _environment() | {"SCRIPTFLEET_HOME": str(folder)}
    samples: dict[str, list[float]] = {"run --warm": [], "run": [], "python": []}
    try:
        for number in range(1 + runs):
            for how, command in zip(samples, (warm, [*run, str(script)], [sys.executable, str(script)]), strict=True):
                began = time.monotonic()
                subprocess.run(command, env=env, capture_output=True, check=True, timeout=_LIMIT_SECONDS)
                if number:
                    samples[how].append((time.monotonic() - began) * 1000)
    finally:
        stop = [sys.executable, "-m", "scriptfleet", "warm", "stop", "--all"]
        subprocess.run(stop, env=env, capture_output=True, check=True, timeout=_LIMIT_SECONDS)
    alone = percentile(samples.pop("python"), 50)
    return [(how, percentile(taken, 50), alone) for how, taken in samples.items()]


def _taken(first_line: Callable[[], int], runs: int) -> list[float]:
    """Give milliseconds from the call to the moment that the script printed."""
    samples = []
    for number in range(_WARM_UPS + runs):
        asked = time.time_ns()
        taken = (first_line() - asked) / 1e6
        if number >= _WARM_UPS:
            samples.append(taken)
    return samples


def _by_engine(engine: Engine, script: Path, preload: tuple[str, ...] | None) -> Callable[[], int]:
    stdout, stderr = script.with_suffix(".out"), script.with_suffix(".err")
    argv = [str(script)] if preload is not None else [sys.executable, str(script)]
    plan = Plan(argv, _environment(), script.parent, stdout, stderr, _LIMIT_SECONDS, preload=preload)

    def first_line() -> int:
        ended, _ = engine.run(plan)
        if ended.exit_code:
            raise BenchmarkFailed(f"the script ended with {ended.exit_code}: {stderr.read_text()[-500:]}")
        return int(stdout.read_text())

    return first_line


def _alone(script: Path) -> Callable[[], int]:
    def first_line() -> int:
        command, env = [sys.executable, str(script)], _environment()
        done = subprocess.run(command, env=env, capture_output=True, check=True, timeout=_LIMIT_SECONDS)
        return int(done.stdout)

    return first_line


def _environment() -> dict[str, str]:
    own = own_environment()
    # Where the modules are may be told by this alone.
    paths = {"PYTHONPATH": own["PYTHONPATH"]} if "PYTHONPATH" in own else {}
    return clean(own) | paths
