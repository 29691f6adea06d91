"""What a worker occupies, idle after some jobs in every slot, with all its processes, beside plain Celery's pools."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from benchmarks.celery_tasks import RUN
from benchmarks.contender import celery_worker, fleet_worker
from benchmarks.figure import BenchmarkFailed, Figure, at_most
from benchmarks.server import Server, running_server
from benchmarks.waiting import until
from scriptfleet.domain.state import State
from scriptfleet.queues import drafts

_SLOTS, _JOBS = 32, 64
_PREFORK_SLOTS = 8
#: Long enough for every slot to have one at once.
_COMMAND = ("sleep", "0.5")


def measure() -> list[Figure]:
    """Take the fleet's worker, then Celery's with threads and with processes."""
    with running_server() as server:
        with _idle_fleet(server) as process:
            ours = occupied(process)
        peers = {}
        for pool, slots in (("threads", _SLOTS), ("prefork", _PREFORK_SLOTS)):
            server.empty()
            with _idle_celery(server, pool, slots) as process:
                peers[f"Celery {pool} -c {slots}"] = occupied(process)
    return [figure for peer, theirs in peers.items() for figure in _figures(ours, peer, theirs)]


def _figures(ours: dict[str, float], peer: str, theirs: dict[str, float]) -> list[Figure]:
    detail = {"processes": ours["processes"], "peer_processes": theirs["processes"], "jobs": _JOBS}
    name = f"worker -c {_SLOTS}, whole tree"
    return [
        Figure(f"{name}, PSS", ours["pss"], "MiB", at_most(80), peer, theirs["pss"], detail),
        Figure(f"{name}, sum of RSS", ours["rss"], "MiB", None, peer, theirs["rss"], detail),
    ]


@contextmanager
def _idle_fleet(server: Server) -> Iterator[psutil.Process]:
    with fleet_worker(server, _SLOTS) as worker:
        jobs = worker.client.submit_many([drafts.of_command(" ".join(_COMMAND))] * _JOBS)
        for job in jobs:
            if (state := job.wait(30)) is not State.SUCCEEDED:
                raise BenchmarkFailed(f"job {job.id} ended as {state}")
        yield worker.process


@contextmanager
def _idle_celery(server: Server, pool: str, slots: int) -> Iterator[psutil.Process]:
    with celery_worker(server, pool, slots) as worker:
        for _ in range(_JOBS):
            worker.control.send_task(RUN, [list(_COMMAND)])
        until(lambda: len(worker.done()) == _JOBS, "all tasks to end", within=30.0)
        yield worker.process


def occupied(process: psutil.Process) -> dict[str, float]:
    """Give MiB over the process and all below it; PSS counts a shared page once."""
    family = [process, *process.children(recursive=True)]
    rollups = [_rollup(one.pid) for one in family]
    pss, rss = (sum(found[field] for found in rollups) / 1024 for field in ("Pss", "Rss"))
    return {"pss": pss, "rss": rss, "processes": len(family)}


def _rollup(pid: int) -> dict[str, int]:
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError as fault:
        raise BenchmarkFailed(f"this machine does not tell what process {pid} shares with others: {fault}") from fault
    lines = (line.split() for line in text.splitlines()[1:])
    return {words[0].rstrip(":"): int(words[1]) for words in lines}
