"""RQ: a pool of workers that do not fork for each job, its fastest way; submitted many at once."""

from collections.abc import Iterator
from contextlib import contextmanager

from redis import Redis
from rq import Queue

from benchmarks.peers.peer import PROGRAM, Peer, worker
from benchmarks.process import ROOT
from benchmarks.server import Server

_QUEUE = "benchmarks"


@contextmanager
def opened(server: Server, slots: int) -> Iterator[Peer]:
    """Run a pool of so many processes."""
    pool = ("worker-pool", "--num-workers", str(slots), "--worker-class", "rq.worker.SimpleWorker")
    options = ("--url", server.url, "--path", str(ROOT), "--logging-level", "WARNING", _QUEUE)
    with worker(server, "rq.cli", *pool, *options) as up, Redis.from_url(server.url) as client:
        queue = Queue(_QUEUE, connection=client)

        def send(count: int) -> None:
            # Results are not kept, as with the other peers.
            queue.enqueue_many([Queue.prepare_data("benchmarks.marks.run", (PROGRAM,), result_ttl=0)] * count)

        yield Peer(*up, send)
