"""What pages are made of: the stores, the broker, and how HTML is rendered."""

import threading
from dataclasses import dataclass, field

from scriptfleet.queues.client import Client
from scriptfleet.queues.fleet import FleetView
from scriptfleet.results.pages.rendering import Renderer
from scriptfleet.storage.engine import Database
from scriptfleet.storage.job_store import JobStore
from scriptfleet.storage.run_store import RunStore


@dataclass(frozen=True, slots=True)
class Sources:
    """What pages read from, and act on."""

    database: Database
    jobs: JobStore
    runs: RunStore
    client: Client
    #: Set when the service ends: what is sent for as long as somebody looks ends then.
    leaving: threading.Event
    renderer: Renderer = field(default_factory=Renderer)

    @classmethod
    def of(cls, database: Database, client: Client, leaving: threading.Event) -> "Sources":
        """Make them of a database and a client of the broker."""
        return cls(database, JobStore(database), RunStore(database), client, leaving)

    @property
    def fleet(self) -> FleetView:
        """The broker's view of workers and queues; raises NoFleet where there is no broker."""
        return FleetView(self.client.broker.redis, self.client.broker.keys)
