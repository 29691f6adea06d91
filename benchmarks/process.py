"""Processes that a benchmark starts: ended again with all they started, by their own numbers."""

import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

from benchmarks.figure import BenchmarkFailed

#: Root of the checkout: workers find this package from here.
ROOT = Path(__file__).parents[1]

_POLITE_SECONDS = 15.0


@contextmanager
def started(command: Sequence[str], log: Path, env: Mapping[str, str] | None = None) -> Iterator[psutil.Process]:
    """Run a command while the block lasts; its output goes to ``log``."""
    with log.open("ab") as out:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=env, cwd=ROOT)
    try:
        yield psutil.Process(process.pid)
    finally:
        _end(process)


@contextmanager
def held(process: psutil.Process) -> Iterator[None]:
    """Stop a process and all below it while the block lasts, so that it takes nothing of what is submitted."""
    family = [process, *process.children(recursive=True)]
    for one in family:
        one.suspend()
    try:
        yield
    finally:
        for one in family:
            one.resume()


def check_alive(process: psutil.Process, log: Path) -> None:
    """Raise BenchmarkFailed, with the end of its log, when the process has ended."""
    if not process.is_running() or process.status() == psutil.STATUS_ZOMBIE:
        said = log.read_text(errors="replace")[-2000:]
        raise BenchmarkFailed(f"process {process.pid} ended before its time; the end of its log:\n{said}")


def _end(process: subprocess.Popen[bytes]) -> None:
    family = _family(process.pid)
    process.terminate()
    try:
        process.wait(_POLITE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    _, left = psutil.wait_procs(family, timeout=2.0)
    for survivor in left:
        survivor.kill()


def _family(pid: int) -> list[psutil.Process]:
    try:
        return list(psutil.Process(pid).children(recursive=True))
    except psutil.NoSuchProcess:
        return []
