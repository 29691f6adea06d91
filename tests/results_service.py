"""The results service over real HTTP, in this process, with a fleet that is scripted."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import redis
from starlette.types import ASGIApp

from scriptfleet.config import Settings
from scriptfleet.errors import BrokerUnreachable
from scriptfleet.queues.client import Client
from scriptfleet.queues.fleet import QueueDepth, WorkerInfo
from scriptfleet.queues.load import QueueLoad
from scriptfleet.results.app import Parts, create_app
from scriptfleet.results.health import Health
from scriptfleet.results.load import LoadMetrics
from scriptfleet.results.metrics import FleetMetrics, RunMetrics, new_registry
from scriptfleet.results.serve import listen, url_of
from scriptfleet.results.web_server import web_server
from scriptfleet.storage.engine import Database
from scriptfleet.storage.ingest_store import IngestStore
from tests.eventually import eventually

_NOWHERE = Settings(Path("/nowhere"))


@dataclass
class ScriptedFleet:
    """Stands for the broker: what it knows of the fleet, and whether it answers."""

    is_away: bool = False
    depths: dict[str, QueueDepth] = field(default_factory=lambda: {"default": QueueDepth(5, 2, 1, 7)})
    loads: dict[str, QueueLoad] = field(default_factory=lambda: {"default": QueueLoad(1, 7, 7, 8, 2, 12.5)})

    def ping(self) -> bool:
        if self.is_away:
            raise redis.ConnectionError("Connection refused")
        return True

    def queues(self) -> dict[str, QueueDepth]:
        self.ping()
        return self.depths

    def workers(self) -> list[WorkerInfo]:
        self.ping()
        return [WorkerInfo(f"w{at}", "host-1", 4, 1, ["default"], 0, "0.1.0") for at in range(2)]

    def all(self) -> dict[str, QueueLoad]:
        if self.is_away:
            raise BrokerUnreachable("redis://scripted", "Connection refused")
        return self.loads


@dataclass
class ScriptedIngest:
    """Stands for the ingest's thread."""

    trouble: str | None = None
    runs: bool = True

    def is_alive(self) -> bool:
        return self.runs

    def backlog(self) -> int:
        return 3

    def buried(self) -> int:
        return 2

    def lag_seconds(self) -> float:
        return 1.5


@dataclass
class Service:
    """A running service and a client for it."""

    client: httpx.Client
    store: IngestStore
    metrics: RunMetrics
    fleet: ScriptedFleet
    ingest: ScriptedIngest
    database: Database


@contextmanager
def running(database: Database, token: str = "", **more: Any) -> Iterator[Service]:
    """Serve until the end of the block; without ``redis_url``, what needs a broker is refused."""
    fleet, ingest = ScriptedFleet(), ScriptedIngest()
    settings = Settings(Path("/nowhere"), api_token=token, **more)
    parts = parts_of(database, fleet, ingest, settings)
    metrics = RunMetrics(parts.registry, settings.metrics_scripts)
    served = serving(create_app(settings, parts), settings.trusted_proxies, parts.leaving)
    with served as url, httpx.Client(base_url=url, verify=False, timeout=60) as client:
        yield Service(client, IngestStore(database), metrics, fleet, ingest, database)


@contextmanager
def serving(
    app: ASGIApp, trusted_proxies: Sequence[str] = (), leaving: threading.Event | None = None
) -> Iterator[httpx.URL]:
    """Serve an app on a port of its own until the end of the block; ``leaving`` is set then."""
    listener = listen("127.0.0.1", 0)
    server = web_server(app, trusted_proxies, leaving or threading.Event())
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        eventually(lambda: server.started)
        yield httpx.URL(url_of(listener))
    finally:
        server.should_exit = True
        thread.join(10)
        listener.close()


def parts_of(database: Database, fleet: ScriptedFleet, ingest: ScriptedIngest, settings: Settings = _NOWHERE) -> Parts:
    """Give what a service stands on."""
    registry = new_registry()
    registry.register(FleetMetrics(fleet, ingest))
    registry.register(LoadMetrics(fleet))
    return Parts(database, Health(database, fleet, ingest), registry, fleet, Client(settings=settings))
