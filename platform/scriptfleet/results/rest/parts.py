"""What the routes of REST stand on."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

from scriptfleet.queues.client import Client
from scriptfleet.results.load import Loads
from scriptfleet.results.rest.seats import EXPORTERS, FOLLOWERS, WAITERS, Seats
from scriptfleet.storage.definitions import DefinitionStore
from scriptfleet.storage.engine import Database
from scriptfleet.storage.job_store import JobStore
from scriptfleet.storage.run_store import RunStore
from scriptfleet.storage.stored_output import StoredOutput


@dataclass(frozen=True, slots=True)
class RestParts:
    """Stores for what was, the Client for what is and for all changes."""

    jobs: JobStore
    runs: RunStore
    outputs: StoredOutput
    database: Database
    client: Client
    loads: Loads
    definitions: DefinitionStore
    #: Beginnings of further variables' names that are not shown.
    secret_prefixes: Sequence[str] = ()
    #: Set when the service ends: who follows is let go.
    leaving: threading.Event = field(default_factory=threading.Event)
    waiters: Seats = field(default_factory=lambda: Seats("requests that wait for a job", WAITERS))
    followers: Seats = field(default_factory=lambda: Seats("followers", FOLLOWERS))
    exporters: Seats = field(default_factory=lambda: Seats("exports", EXPORTERS))
