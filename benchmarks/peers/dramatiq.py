"""Dramatiq: a process a core, with threads (``dramatiq benchmarks.peers.dramatiq:connected``)."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from benchmarks.marks import BROKER_VARIABLE, run
from benchmarks.peers.peer import Peer, calls, worker
from benchmarks.server import Server


def connected() -> None:
    """Set a worker up."""
    broker = RedisBroker(url=os.environ[BROKER_VARIABLE])
    dramatiq.set_broker(broker)
    _actor_on(broker)


@contextmanager
def opened(server: Server, processes: int, threads: int) -> Iterator[Peer]:
    """Run so many processes, with so many threads each."""
    sizes = ("--processes", str(processes), "--threads", str(threads))
    broker = RedisBroker(url=server.url)
    actor = _actor_on(broker)
    with worker(server, "dramatiq", "benchmarks.peers.dramatiq:connected", *sizes) as up:
        try:
            yield Peer(*up, calls(actor.send))
        finally:
            broker.close()


def _actor_on(broker: RedisBroker) -> Any:
    # Nothing is tried again, as with the other peers.
    return dramatiq.actor(actor_name="run", broker=broker, max_retries=0)(run)
