"""Workers that are measured: one of the fleet, or one of plain Celery, up and waiting for messages on a server."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from celery import Celery

from benchmarks.marks import Marks
from benchmarks.process import check_alive, started
from benchmarks.server import Server
from benchmarks.waiting import until
from scriptfleet.config import environment_of
from scriptfleet.queues.client import Client
from scriptfleet_workers.celery_config import celery_config


@dataclass(frozen=True, slots=True)
class FleetWorker:
    """A worker of the fleet, and a client of its fleet."""

    process: psutil.Process
    client: Client
    log: Path
    queue: str = "default"


@dataclass(frozen=True, slots=True)
class CeleryWorker:
    """A plain Celery worker."""

    process: psutil.Process
    control: Celery
    log: Path
    #: A line for each task that is done.
    marks: Marks


@contextmanager
def fleet_worker(server: Server, slots: int) -> Iterator[FleetWorker]:
    """Run `scriptfleet worker` while the block lasts."""
    log, settings = server.folder / "fleet.log", server.settings
    command = [sys.executable, "-m", "scriptfleet", "worker", "--concurrency", str(slots)]
    control = Celery("benchmarks-control")
    control.conf.update(celery_config(settings))
    with started(command, log, environment_of(settings)) as process, control:
        _wait_for_consumer(server, control, process, log)
        yield FleetWorker(process, Client(settings=settings), log)


@contextmanager
def celery_worker(
    server: Server, pool: str, slots: int, app: str = "benchmarks.celery_tasks"
) -> Iterator[CeleryWorker]:
    """Run `celery worker` with Celery's own defaults, but for pool and concurrency, while the block lasts."""
    log, marks = server.folder / "celery.log", Marks(server.folder / "celery.marks")
    marks.clear()
    celery = [sys.executable, "-m", "celery", "--broker", server.celery_url, "--app", app]
    command = [*celery, "worker", "--pool", pool, "--concurrency", str(slots)]
    with (
        started(command, log, marks.environment(server.url)) as process,
        Celery("benchmarks-producer", broker=server.celery_url) as control,
    ):
        _wait_for_consumer(server, control, process, log)
        yield CeleryWorker(process, control, log, marks)


def _wait_for_consumer(server: Server, control: Celery, process: psutil.Process, log: Path) -> None:
    def is_up() -> bool:
        check_alive(process, log)
        return bool(control.control.ping(limit=1, timeout=0.5))

    # A blocked connection alone says little: at its start a worker also waits so for answers of other workers.
    until(is_up, "the worker to come up", within=30.0)
    until(lambda: server.blocked_clients() > 0, "the worker to wait for messages")
