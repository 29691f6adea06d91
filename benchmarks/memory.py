"""What a worker occupies, idle after some jobs in every slot, with all its processes, beside plain Celery's pools.

And what it occupies with a run in every slot, without the scripts themselves.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from benchmarks.celery_tasks import RUN
from benchmarks.contender import FleetWorker, celery_worker, fleet_worker
from benchmarks.effort import Effort
from benchmarks.figure import BenchmarkFailed, Figure, at_most
from benchmarks.server import Server, running_server
from benchmarks.waiting import until
from scriptfleet.domain.state import State
from scriptfleet.queues import drafts

_SLOTS, _QUICK_SLOTS = (1, 8, 32, 100), (1,)
#: A hundred of Celery's processes take gigabytes, which says no more than what 32 take.
_MOST_PREFORK = 32
_BUDGETS = {32: at_most(80)}
_LIMIT_SECONDS = 60.0


def measure(effort: Effort) -> list[Figure]:
    """Take each number of slots: the fleet's worker, then Celery's with threads and with processes."""
    with running_server() as server:
        sizes = _QUICK_SLOTS if effort.is_quick else _SLOTS
        return [figure for slots in sizes for figure in _with_slots(server, slots)]


def _with_slots(server: Server, slots: int) -> list[Figure]:
    with fleet_worker(server, slots) as worker:
        _work_in_every_slot(worker, slots)
        _await_rest(worker.process)
        ours, busy = occupied(worker.process), _occupied_at_work(worker, slots)
    server.empty()
    peers = {}
    for pool in ("threads", "prefork") if slots <= _MOST_PREFORK else ("threads",):
        with _idle_celery(server, pool, slots) as process:
            peers[f"Celery {pool} -c {slots}"] = occupied(process)
        server.empty()
    found = [figure for peer, theirs in peers.items() for figure in _figures(slots, ours, peer, theirs)]
    name = f"worker -c {slots}, a run in every slot, PSS"
    return [*found, Figure(name, busy["pss"], "MiB", _BUDGETS.get(slots), detail=busy)]


def _figures(slots: int, ours: dict[str, float], peer: str, theirs: dict[str, float]) -> list[Figure]:
    detail = {"processes": ours["processes"], "peer_processes": theirs["processes"], "jobs": _jobs(slots)}
    name = f"worker -c {slots}, whole tree"
    return [
        Figure(f"{name}, PSS", ours["pss"], "MiB", _BUDGETS.get(slots), peer, theirs["pss"], detail),
        Figure(f"{name}, sum of RSS", ours["rss"], "MiB", None, peer, theirs["rss"], detail),
    ]


def _jobs(slots: int) -> int:
    return 2 * slots


def _command(slots: int) -> list[str]:
    """Give what each job runs: long enough for every slot to have one at once."""
    return ["sleep", f"{0.3 + slots / 50:g}"]


def _work_in_every_slot(worker: FleetWorker, slots: int) -> None:
    jobs = worker.client.submit_many([drafts.of_command(" ".join(_command(slots)))] * _jobs(slots))
    for job in jobs:
        if (state := job.wait(_LIMIT_SECONDS)) is not State.SUCCEEDED:
            raise BenchmarkFailed(f"job {job.id} ended as {state}")


def _await_rest(process: psutil.Process) -> None:
    """Wait until no more shims are let go: of many that are idle some are."""
    seen = [-1]

    def rests() -> bool:
        seen.append(len(process.children(recursive=True)))
        return seen[-1] == seen[-2]

    until(rests, "shims to be let go", every=0.2)


def _occupied_at_work(worker: FleetWorker, slots: int) -> dict[str, float]:
    """Give what worker, launcher and shims occupy with a script in every slot; the scripts are not ours."""
    (launcher,) = worker.process.children()
    jobs = worker.client.submit_many([drafts.of_command("exec sleep 60")] * slots)
    try:
        until(lambda: len(_scripts(launcher)) == slots, "a script in every slot", within=_LIMIT_SECONDS)
        return _occupied([worker.process, launcher, *launcher.children()])
    finally:
        for job in jobs:
            job.cancel()


def _scripts(launcher: psutil.Process) -> list[psutil.Process]:
    return [script for shim in launcher.children() for script in shim.children()]


@contextmanager
def _idle_celery(server: Server, pool: str, slots: int) -> Iterator[psutil.Process]:
    with celery_worker(server, pool, slots) as worker:
        for _ in range(_jobs(slots)):
            worker.control.send_task(RUN, [_command(slots)])
        until(lambda: len(worker.marks.done()) == _jobs(slots), "all tasks to end", _LIMIT_SECONDS)
        yield worker.process


def occupied(process: psutil.Process) -> dict[str, float]:
    """Give MiB over the process and all below it; PSS counts a shared page once."""
    return _occupied([process, *process.children(recursive=True)])


def _occupied(family: list[psutil.Process]) -> dict[str, float]:
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
