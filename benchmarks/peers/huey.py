"""Huey with threads, its default (``huey_consumer benchmarks.peers.huey.app``)."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from huey import RedisHuey

from benchmarks.marks import BROKER_VARIABLE, run
from benchmarks.peers.peer import Peer, calls, worker
from benchmarks.server import Server


def _connected(url: str) -> tuple[RedisHuey, Any]:
    """Give the app and its task, which submits when it is called."""
    made = RedisHuey("benchmarks", url=url, results=False)
    return made, made.task(name="run")(run)


# A worker's; nothing is sent before its first use.
app, _ = _connected(os.environ.get(BROKER_VARIABLE, "redis://127.0.0.1:6379"))


@contextmanager
def opened(server: Server, threads: int) -> Iterator[Peer]:
    """Run a consumer with so many threads."""
    _, task = _connected(server.url)
    consumer = ("huey.bin.huey_consumer", "benchmarks.peers.huey.app", "--workers", str(threads), "--quiet")
    with worker(server, *consumer) as up:
        yield Peer(*up, calls(task))
