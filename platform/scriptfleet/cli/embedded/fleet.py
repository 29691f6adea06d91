"""The embedded fleet: broker, results service, worker and beat as processes, watched over and ended in order."""

import os
import re
import signal
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from scriptfleet.cli.celery_process import beat_command, worker_command
from scriptfleet.cli.embedded.home import Home
from scriptfleet.cli.embedded.process import Process
from scriptfleet.cli.embedded.redis_server import broker_process, url_of, wait_until_up
from scriptfleet.cli.embedded.restarts import Restarts
from scriptfleet.cli.embedded.stop_signals import StopSignals
from scriptfleet.cli.embedded.unfinished import Unfinished
from scriptfleet.cli.screen import note
from scriptfleet.config import Settings, environment_of, python_executable
from scriptfleet.errors import ScriptfleetError
from scriptfleet.queues.client import Broker
from scriptfleet.queues.connection import told_plainly
from scriptfleet.queues.events import EventReader
from scriptfleet.queues.fleet import FleetView
from scriptfleet.storage.migrate import upgrade

_LISTENING: Final = re.compile(r"^listening on (\S+)$", re.MULTILINE)
_READY_SECONDS: Final = 60.0
_WATCH_SECONDS: Final = 0.1
#: How long each may take to end before it is killed; runs of the worker may finish in its time, then it ends them.
WORKER_SECONDS, _OTHERS_SECONDS, _BROKER_SECONDS = 10.0, 5.0, 20.0
#: For the worker to end the runs that are left, and to give their jobs back.
_LAST_SECONDS: Final = 8.0
_BACKLOG_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the user said about the fleet."""

    port: int
    queues: str
    concurrency: int
    log_level: str


class Fleet:
    """All processes of one embedded fleet."""

    def __init__(self, home: Home, settings: Settings, socket: Path, wishes: Wishes, signals: StopSignals) -> None:
        self._home, self._signals = home, signals
        self._embedded_broker = None if settings.redis_url else broker_process(home, socket)
        redis_url = settings.redis_url or url_of(socket)
        self.settings = settings.with_urls(redis_url=redis_url, database_url=settings.store_url())
        self.worker_name = f"up-{os.getpid()}"
        self.server_url = ""
        own_token = {"SCRIPTFLEET_API_TOKEN": settings.api_token} if settings.api_token else {}
        self._server = self._process("server", _server_command(wishes.port), own_token)
        self._worker = self._process(
            "worker",
            worker_command(wishes.queues, wishes.concurrency, self.worker_name, wishes.log_level),
            # Without a broker it could not report its runs: they are rescued when the fleet is up again.
            when_orphaned=signal.SIGKILL,
        )
        self._beat = self._process("beat", beat_command(wishes.log_level))
        self._restarts = Restarts()

    def start(self) -> None:
        """Start everything and wait until it is ready. Raises ScriptfleetError, KeyboardInterrupt."""
        if self._embedded_broker is not None:
            self._embedded_broker.start()
            wait_until_up(self._embedded_broker, self.settings.broker_url(), self._signals.pause)
        upgrade(self.settings.store_url())
        for process in (self._server, self._worker, self._beat):
            process.start()
        self._wait_until_ready()
        # A server that has to be started again is found where it was.
        self._server.command = _server_command(int(self.server_url.rpartition(":")[2]))
        self._home.write_fleet_file(
            {
                "redis_url": self.settings.redis_url,
                "database_url": self.settings.store_url(),
                "server_url": self.server_url,
                "pid": os.getpid(),
            }
        )

    def watch(self, work: Iterator[None] | None = None) -> None:
        """Keep the processes alive until a signal comes, or until ``work``, done step by step, is over.

        Raises ScriptfleetError when a process ends again and again.
        """
        while not self._signals.wait(_WATCH_SECONDS):
            for process in self._processes():
                self._restarts.look_after(process)
            if work is not None and next(work, _OVER) is _OVER:
                return

    def stop(self) -> None:
        """End everything in order, so that what ran is stored; a second signal makes it hurry."""
        self._end(self._beat, _OTHERS_SECONDS)
        self._end(self._worker, WORKER_SECONDS + _LAST_SECONDS, Unfinished(self.settings, self.worker_name))
        self._wait_until_stored()
        self._end(self._server, _OTHERS_SECONDS)
        if self._embedded_broker is not None:
            # It writes its append-only file to the disk first, which no haste may cut short.
            self._embedded_broker.ask_to_end()
            if not self._embedded_broker.wait(_BROKER_SECONDS):
                self._embedded_broker.kill()

    def _processes(self) -> list[Process]:
        own = [] if self._embedded_broker is None else [self._embedded_broker]
        return [*own, self._server, self._worker, self._beat]

    def _process(
        self,
        name: str,
        command: list[str],
        more: Mapping[str, str] | None = None,
        when_orphaned: signal.Signals = signal.SIGTERM,
    ) -> Process:
        return Process(
            name,
            command,
            environment_of(self.settings) | {"SCRIPTFLEET_DRAIN_SECONDS": str(WORKER_SECONDS)} | {**(more or {})},
            self._home.log_file(name),
            self._home.folder,
            when_orphaned=when_orphaned,
        )

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + _READY_SECONDS
        while not (self._is_serving() and self._is_working()):
            self._refuse_dead()
            if time.monotonic() > deadline:
                who = "the worker" if self.server_url else "the results service"
                raise ScriptfleetError(
                    f"{who} is not ready after {_READY_SECONDS:g} s: see {self._home.folder / 'log'}"
                )
            self._signals.pause()

    def _is_serving(self) -> bool:
        found = _LISTENING.search(self._server.logged())
        self.server_url = found[1] if found else ""
        return found is not None

    def _is_working(self) -> bool:
        broker = Broker(self.settings)
        with told_plainly(broker.url):
            workers = FleetView(broker.redis, broker.keys).workers()
        return any(worker.name.startswith(f"{self.worker_name}@") for worker in workers)

    def _refuse_dead(self) -> None:
        for process in self._processes():
            if process.exit_code is not None:
                said = " / ".join(process.last_lines(3))
                raise ScriptfleetError(f"{process.name} did not start: {said}: see {process.log}")

    def _end(self, process: Process, seconds: float, unfinished: Unfinished | None = None) -> None:
        process.ask_to_end()
        deadline = time.monotonic() + seconds
        while not process.wait(_WATCH_SECONDS):
            if self._signals.is_hurried or time.monotonic() > deadline:
                self._kill(process, seconds, unfinished)
            elif unfinished is not None:
                unfinished.tell()

    def _kill(self, process: Process, seconds: float, unfinished: Unfinished | None) -> None:
        left = unfinished.names() if unfinished is not None else []
        if left:
            note(f"{process.name} is killed, and its runs with it: {', '.join(left)}")
        elif not self._signals.is_hurried:
            note(f"{process.name} is killed: it did not end within {seconds:g} s")
        process.kill()

    def _wait_until_stored(self) -> None:
        broker = Broker(self.settings)
        reader = EventReader(broker.redis, broker.keys, self.worker_name)
        deadline = time.monotonic() + _BACKLOG_SECONDS
        try:
            with told_plainly(broker.url):
                while self._server.is_running and reader.backlog() and time.monotonic() < deadline:
                    if self._signals.is_hurried:
                        return
                    self._signals.wait(_WATCH_SECONDS)
        except ScriptfleetError as fault:
            note(f"scriptfleet: {fault}")


_OVER: Final = object()


def _server_command(port: int) -> list[str]:
    return [python_executable(), "-u", "-m", "scriptfleet.results", "--host", "127.0.0.1", "--port", str(port)]
