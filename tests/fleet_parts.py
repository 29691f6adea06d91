"""A fleet of real processes: workers, beat and the results service over a real server, each ended by its own pid."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from scriptfleet.config import load_settings
from scriptfleet.queues.client import Client
from scriptfleet.queues.fleet import FleetView
from scriptfleet.storage.engine import open_store
from scriptfleet.storage.migrate import upgrade
from scriptfleet.storage.run_store import RunStore
from tests.eventually import eventually

_CELERY = [sys.executable, "-m", "celery", "-A"]


@dataclass
class Process:
    """A process of the fleet and its log."""

    popen: "subprocess.Popen[bytes]"
    log_path: Path

    @property
    def pid(self) -> int:
        return self.popen.pid

    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    def send(self, signum: int) -> None:
        self.popen.send_signal(signum)

    def end(self, signum: int = signal.SIGTERM, within: float = 30.0) -> int:
        if self.popen.poll() is None:
            self.popen.send_signal(signum)
        try:
            return self.popen.wait(within)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()
            raise AssertionError(f"did not end within {within} s; its log:\n{self.log()[-3000:]}") from None


@dataclass
class Fleet:
    """Starts processes in one namespace with one home and one database."""

    home: Path
    redis_url: str
    namespace: str
    database_url: str
    #: Further settings of all processes and clients.
    settings: dict[str, str] = field(default_factory=dict)
    processes: list[Process] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        own = {
            "SCRIPTFLEET_HOME": str(self.home),
            "SCRIPTFLEET_REDIS_URL": self.redis_url,
            "SCRIPTFLEET_NAMESPACE": self.namespace,
            "SCRIPTFLEET_DATABASE_URL": self.database_url,
        }
        around = {name: value for name, value in os.environ.items() if not name.startswith("SCRIPTFLEET_")}
        return around | own | self.settings

    def client(self) -> Client:
        return Client(settings=load_settings(self.environment))

    def view(self) -> FleetView:
        broker = self.client().broker
        return FleetView(broker.redis, broker.keys)

    def runs(self) -> RunStore:
        return RunStore(open_store(self.database_url))

    def start(self, name: str, *arguments: str, env: dict[str, str] | None = None) -> Process:
        log_path = self.home / f"{name}.log"
        with log_path.open("ab") as log:
            popen = subprocess.Popen(
                arguments, env=self.environment | (env or {}), stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )
        process = Process(popen, log_path)
        self.processes.append(process)
        return process

    def worker(
        self,
        name: str = "w1",
        slots: int = 2,
        queues: str = "default",
        env: dict[str, str] | None = None,
        inside: Sequence[str] = (),
        app: str = "scriptfleet_workers.app",
    ) -> Process:
        command = [*inside, *_CELERY, app, "worker", "-Q", queues, "-c", str(slots), "-n", f"{name}@%h"]
        process = self.start(name, *command, "--without-mingle", "--without-gossip", "-E", "-l", "INFO", env=env)
        self.await_worker(name, process)
        return process

    def await_worker(self, name: str, process: Process) -> None:
        def is_there() -> None:
            assert process.popen.poll() is None, process.log()[-3000:]
            # Before Celery says so it does not listen to signals yet.
            assert re.search(f"{name}@.* ready\\.", process.log()), process.log()[-3000:]
            there = [worker.name for worker in self.view().workers()]
            assert any(one.startswith(f"{name}@") for one in there), f"{there}:\n{process.log()[-3000:]}"

        eventually(is_there, within=90)

    def beat(self, name: str = "beat") -> Process:
        return self.start(name, *_CELERY, "scriptfleet_beat.app", "beat", "-l", "INFO", "-s", str(self.home / "unused"))

    def server(self, name: str = "server", port: int = 0) -> "Server":
        upgrade(self.database_url)
        process = self.start(name, sys.executable, "-m", "scriptfleet.results", "--port", str(port))

        def address() -> str:
            assert process.popen.poll() is None, process.log()[-3000:]
            found = re.search(r"listening on (http://\S+)", process.log())
            return found[1] if found else ""

        return Server(process, eventually(address, within=60))

    def stop(self) -> None:
        for process in reversed(self.processes):
            if process.popen.poll() is None:
                process.popen.send_signal(signal.SIGCONT)
                process.popen.kill()
                process.popen.wait()


@dataclass
class Server:
    """The results service as a process."""

    process: Process
    url: str

    def get(self, path: str, **parameters: str | int) -> httpx.Response:
        return httpx.get(f"{self.url}{path}", params=parameters, timeout=20)


def has_ended(job: dict[str, Any]) -> bool:
    """Tell whether the store knows the end of a job, by what REST says of it."""
    return bool(job.get("is_stored") and job.get("finished_at"))


def marked(marker: str) -> list[int]:
    """Give the processes alive whose environment carries the marker."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                environment, state = (folder / "environ").read_bytes(), (folder / "stat").read_bytes()
            except OSError:
                continue
            if marker.encode() in environment and state.rsplit(b")", 1)[1].split()[0] != b"Z":
                found.append(int(folder.name))
    return found


@contextmanager
def stopped(process: Process) -> Iterator[None]:
    """Freeze a process while the block lasts."""
    process.send(signal.SIGSTOP)
    try:
        yield
    finally:
        process.send(signal.SIGCONT)
