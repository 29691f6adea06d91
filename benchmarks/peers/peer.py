"""A worker of another system, up on a server of the benchmark."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from benchmarks.marks import Marks
from benchmarks.process import started
from benchmarks.server import Server

#: The same that a job of ours starts: a shell command is given to sh.
PROGRAM: Final = ["sh", "-c", "true"]


@dataclass(frozen=True, slots=True)
class Peer:
    """A worker that calls the program for each task."""

    process: psutil.Process
    log: Path
    marks: Marks
    #: Submits so many tasks.
    send: Callable[[int], None]


@contextmanager
def worker(server: Server, *module: str) -> Iterator[tuple[psutil.Process, Path, Marks]]:
    """Run `python -m MODULE …` with the environment that its tasks need."""
    name = module[0].partition(".")[0]
    log, marks = server.folder / f"{name}.log", Marks(server.folder / f"{name}.marks")
    marks.clear()
    with started([sys.executable, "-m", *module], log, marks.environment(server.url)) as process:
        yield process, log, marks


def calls(task: Callable[[list[str]], object]) -> Callable[[int], None]:
    """Give what submits by calling a task that many times."""

    def send(count: int) -> None:
        for _ in range(count):
            task(PROGRAM)

    return send
