"""Plain Celery; the loop over send_task is how its users submit."""

from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.celery_tasks import RUN
from benchmarks.contender import celery_worker
from benchmarks.peers.peer import Peer, calls
from benchmarks.server import Server


@contextmanager
def opened(server: Server, pool: str, slots: int) -> Iterator[Peer]:
    """Run a worker with so many processes or threads."""
    with celery_worker(server, pool, slots) as worker:
        yield Peer(worker.process, worker.log, worker.marks, calls(lambda argv: worker.control.send_task(RUN, [argv])))
