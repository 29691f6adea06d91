"""What the engine adds to a bare interpreter, with launcher and shim, at rest and after much output."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

from benchmarks.effort import Effort
from benchmarks.figure import BenchmarkFailed, Figure, at_most
from benchmarks.memory import occupied
from benchmarks.process import ROOT

_OUTPUT_MB, _QUICK_OUTPUT_MB = 512, 8
_LIMIT_SECONDS = 60.0
#: Says a line at each stage, and waits for one before the next.
_BARE = "print('ready', flush=True); input()"
_ENGINE = """
import sys
from pathlib import Path
from scriptfleet.execution.engine import Engine
from scriptfleet.execution.plan import Plan
folder, engine = Path(sys.argv[1]), Engine()
def run(code):
    ended, _ = engine.run(Plan([sys.executable, '-c', code], {}, folder, folder / 'out', folder / 'err'))
    print(ended.stdout.size_bytes, flush=True)
    input()
run('pass')
run("import os\\nfor _ in range(" + sys.argv[2] + "): os.write(1, b'y' * (1 << 20))")
engine.close()
"""


def measure(effort: Effort) -> list[Figure]:
    """Take PSS of the whole family, so that memory shared by forks counts once."""
    output_mb = effort.of(_OUTPUT_MB, _QUICK_OUTPUT_MB)
    with tempfile.TemporaryDirectory(prefix="sf-bench-") as folder:
        with _started(_BARE) as (bare, _):
            base = occupied(bare)
        with _started(_ENGINE, folder, str(output_mb)) as (engine, pipe):
            rest = occupied(engine)
            printed = _next_stage(pipe)
            after = occupied(engine)
    if printed != str(output_mb << 20):
        raise BenchmarkFailed(f"{output_mb} MiB were to be printed, the engine counted {printed} bytes")
    return [
        _figure("engine, launcher and one shim over a bare interpreter, PSS", rest, base),
        _figure(f"  after {output_mb} MiB of output", after, base),
    ]


def _figure(name: str, taken: dict[str, float], base: dict[str, float]) -> Figure:
    detail = {"processes": taken["processes"], "whole_pss_mb": taken["pss"], "bare_pss_mb": base["pss"]}
    return Figure(name, taken["pss"] - base["pss"], "MiB", at_most(15), detail=detail)


@contextmanager
def _started(code: str, *arguments: str) -> Iterator[tuple[psutil.Process, "subprocess.Popen[str]"]]:
    """Run a program up to its first line, and to its end when the block is over."""
    command = [sys.executable, "-c", code, *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as pipe:
        _line(pipe)
        yield psutil.Process(pipe.pid), pipe
        pipe.communicate("\n", timeout=_LIMIT_SECONDS)
    if pipe.returncode:
        raise BenchmarkFailed(f"a program that was to be measured ended with {pipe.returncode}")


def _next_stage(pipe: "subprocess.Popen[str]") -> str:
    if pipe.stdin is None:
        raise BenchmarkFailed("a program that was to be measured has no input")
    pipe.stdin.write("\n")
    pipe.stdin.flush()
    return _line(pipe)


def _line(pipe: "subprocess.Popen[str]") -> str:
    line = pipe.stdout.readline() if pipe.stdout else ""
    if not line:
        raise BenchmarkFailed("a program that was to be measured ended before its time")
    return line.strip()
