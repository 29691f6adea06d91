"""This process as a member of the fleet: everything that one worker is made of, put together once."""

import logging
import os
import threading
from pathlib import Path
from typing import ClassVar

import scriptfleet
from scriptfleet.config import Settings, own_environment
from scriptfleet.domain.outcome import StopReason
from scriptfleet.domain.run import RunRecord
from scriptfleet.errors import EngineFailed
from scriptfleet.execution import environment
from scriptfleet.execution.engine import Engine
from scriptfleet.execution.pipeline import Surroundings, this_host, this_platform
from scriptfleet.execution.workspace import SourceCache, remove_leftovers
from scriptfleet.queues import bundle
from scriptfleet.queues.claims import Claims
from scriptfleet.queues.client import Broker
from scriptfleet.queues.connection import check_server, told_plainly
from scriptfleet.queues.events import OutputPublisher
from scriptfleet.queues.fleet import Presence
from scriptfleet_workers.active import ActiveRuns
from scriptfleet_workers.heartbeat import Heartbeat
from scriptfleet_workers.live import LivePump
from scriptfleet_workers.orders import Orders
from scriptfleet_workers.reporter import Reporter
from scriptfleet_workers.run import NotClaimed, Runner

log = logging.getLogger("scriptfleet.worker")


class Member:
    """One worker. Celery gives its pool and tasks no way to pass it along, so the process has the one it joined as."""

    _current: ClassVar["Member | None"] = None

    def __init__(self, settings: Settings, name: str, queues: list[str], slots: int) -> None:
        broker = Broker(settings)
        check_server(broker.redis, broker.url)
        self.name, self.queues, self.slots = name, queues, slots
        self._broker, self._settings = broker, settings
        keep_seconds = settings.result_hours * 3600
        self._base_env = environment.clean(own_environment())
        self._engine = Engine(warm_env=self._base_env)
        self.active = ActiveRuns()
        self._give_up = threading.Event()
        claims = Claims(broker.redis, broker.keys, name, keep_seconds)
        presence = Presence(broker.redis, broker.keys, name)
        self._live = LivePump(broker.live_output, self.active, keep_seconds)
        self._heartbeat = Heartbeat(claims, self.active, presence, self._tell)
        self._orders = Orders(broker.redis, broker.keys, lambda job_id: self.stop_here(job_id, StopReason.CANCELLED))
        reporter = Reporter(claims, OutputPublisher(broker.redis, broker.keys), self._live, self._give_up)
        self._runner = Runner(settings, name, claims, self._surroundings(), self.active, reporter)

    @classmethod
    def join(cls, settings: Settings, name: str, queues: list[str], slots: int) -> "Member":
        """Make this process a worker of the fleet. Raises BrokerUnreachable."""
        member = cls(settings, name, queues, slots)
        _clean_up(settings.home / "runs")
        this_platform()
        member._engine.warm_up(min(slots, os.cpu_count() or 1))
        if settings.warm_preload is not None:
            member._engine.warm_up(1, settings.warm_preload)
        member._live.start()
        member._orders.start()
        member._heartbeat.start()
        cls._current = member
        log.info("worker_joined name=%s slots=%d queues=%s", name, slots, ",".join(queues))
        return member

    @classmethod
    def current(cls) -> "Member":
        """Give the member that this process is."""
        if cls._current is None:
            raise EngineFailed("this process is no worker of the fleet: it was not started by `celery worker`")
        return cls._current

    @classmethod
    def leave(cls) -> None:
        """Leave the fleet; safe to repeat."""
        member, cls._current = cls._current, None
        if member is not None:
            member._close()

    def run_job(self, job_id: str) -> RunRecord | NotClaimed:
        """Run a job whose message came."""
        return self._runner.run_job(job_id)

    def cancel(self, job_id: str) -> None:
        """Cancel a job wherever it is."""
        self._broker.cancel([job_id])

    def stop_here(self, job_id: str, reason: StopReason) -> None:
        """End the job's run if it is here."""
        for run in self.active.of_job(job_id):
            run.stop(reason)

    def stop_all(self, reason: StopReason) -> None:
        """End every run here."""
        for run in self.active.all():
            run.stop(reason)

    def _surroundings(self) -> Surroundings:
        cache = SourceCache(self._settings.home / "cache", self._fetch, bundle.unpack)
        cache.prune()
        return Surroundings(
            engine=self._engine,
            base_env=self._base_env,
            secrets=self._settings.secrets or {},
            cache=cache,
            preload=self._settings.warm_preload,
        )

    def _fetch(self, sha256: str, size_bytes: int) -> bytes:
        with told_plainly(self._broker.url):
            return self._broker.blobs.get(sha256, size_bytes)

    def _tell(self, presence: Presence) -> None:
        presence.tell(this_host(), self.slots, len(self.active), self.queues, scriptfleet.__version__)

    def _close(self) -> None:
        self._give_up.set()
        self._orders.close()
        self._live.close()
        self._heartbeat.close()
        self._engine.close()
        log.info("worker_left name=%s", self.name)


def _clean_up(runs: Path) -> None:
    """Delete run folders of workers on this machine that are no more."""
    runs.mkdir(mode=0o700, parents=True, exist_ok=True)
    for folder in runs.iterdir():
        if not Path("/proc", folder.name).exists():
            remove_leftovers(folder)
            folder.rmdir()
    (runs / str(os.getpid())).mkdir(mode=0o700, exist_ok=True)
