"""Runs the service in this process, until a signal ends it."""

import logging
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from types import FrameType

from scriptfleet.config import Settings
from scriptfleet.domain import check
from scriptfleet.errors import InvalidValue
from scriptfleet.queues.client import Broker, Client
from scriptfleet.queues.connection import connect, with_patience
from scriptfleet.queues.epoch import Epochs
from scriptfleet.queues.events import EventReader
from scriptfleet.queues.fleet import FleetView
from scriptfleet.queues.keys import Keys
from scriptfleet.queues.load import Loads
from scriptfleet.queues.restoring import Restoring
from scriptfleet.results.access.bind import check_bind, is_loopback
from scriptfleet.results.app import Parts, create_app
from scriptfleet.results.health import HEALTH_SECONDS, Health
from scriptfleet.results.heap import settle_heap
from scriptfleet.results.ingest import Ingest
from scriptfleet.results.load import LoadMetrics
from scriptfleet.results.metrics import FleetMetrics, RunMetrics, new_registry
from scriptfleet.results.restore import Restore
from scriptfleet.results.retention import Retention
from scriptfleet.results.segment_upkeep import SegmentUpkeep
from scriptfleet.results.turns import take_short_turns
from scriptfleet.results.web_server import web_server
from scriptfleet.storage.broker_store import BrokerStore
from scriptfleet.storage.engine import Database, open_store
from scriptfleet.storage.ingest_store import IngestStore
from scriptfleet.storage.migrate import require_current, upgrade_open
from scriptfleet.storage.quick_said import quick_said
from scriptfleet.storage.token_store import has_tokens

_log = logging.getLogger(__name__)

_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_WAITING_CONNECTIONS = 2048


def serve(
    settings: Settings,
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    migrate: bool = False,
    on_ready: Callable[[str], None] | None = None,
) -> None:
    """Serve REST, pages, health and metrics, and take events into the store, until SIGTERM or SIGINT.

    Port 0 takes a free one. ``on_ready`` is called with the address once connections are accepted. ``migrate``
    brings the database to this version's schema first. Raises InvalidValue for an address that cannot be served,
    StoreUnreachable when the database is away or has another schema.
    """
    with closing(open_store(settings.store_url())) as database:
        _check_bind(host, settings, database)
        with closing(listen(host, port)) as listener:
            if migrate:
                upgrade_open(database)
            require_current(database)
            _serve(settings, database, listener, on_ready or (lambda url: None))


def _check_bind(host: str, settings: Settings, database: Database) -> None:
    # What else the database lacks, such as this version's tables, is told once it is known where to serve.
    is_guarded = is_loopback(host) or bool(settings.api_token) or has_tokens(database)
    check_bind(host, is_guarded)


def _serve(settings: Settings, database: Database, listener: socket.socket, on_ready: Callable[[str], None]) -> None:
    client, keys, broker = connect(settings.broker_url()), Keys(settings.namespace), Broker(settings)
    registry = new_registry()
    # The same name after a restart on this port: what it left unfinished is taken up at once.
    consumer = f"{socket.gethostname()}-{listener.getsockname()[1]}"
    reader = EventReader(client, keys, consumer, settings.signing_key, quick_said)
    counted = RunMetrics(registry, settings.metrics_scripts)
    ingest = Ingest(reader, IngestStore(database, settings.secret_prefixes), counted.observe)
    restore, loads = _restore(broker, database, reader), Loads(broker)
    retention = Retention(database, settings.audit_days, settings.audit_archive)
    segments = SegmentUpkeep(database)
    registry.register(FleetMetrics(FleetView(client, keys), ingest))
    registry.register(LoadMetrics(loads))
    parts = Parts(
        database,
        Health(database, with_patience(client, HEALTH_SECONDS), ingest),
        registry,
        loads,
        Client(settings=settings),
    )
    server = web_server(create_app(settings, parts), settings.trusted_proxies, parts.leaving)
    settle_heap()
    take_short_turns()
    with _signals_end_quietly():
        restore.start()
        ingest.start()
        retention.start()
        segments.start()
        try:
            on_ready(url_of(listener))
            server.run(sockets=[listener])
        finally:
            segments.stop()
            retention.stop()
            restore.stop()
            ingest.stop()
            client.close()


def _restore(broker: Broker, database: Database, reader: EventReader) -> Restore:
    brokers = BrokerStore(database, broker.settings.namespace)
    return Restore(Epochs(broker.redis, broker.keys), Restoring(broker), reader, brokers, database)


@contextmanager
def _signals_end_quietly() -> Iterator[None]:
    """Keep a stop signal, which uvicorn raises once more at its end, from ending the process before the ingest."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, _noted) for number in _STOP_SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _noted(number: int, _frame: FrameType | None) -> None:
    _log.info("signal_received signal=%s", signal.Signals(number).name)


def listen(host: str, port: int) -> socket.socket:
    """Bind and listen; raises InvalidValue for an address or a port that cannot be had."""
    # The C library would take the port modulo 65536.
    check.integer("port", port, 0, 65_535)
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError) as fault:
        raise InvalidValue("host", host, f"an address of this machine ({fault})") from fault
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_WAITING_CONNECTIONS)
    except (OSError, UnicodeError) as fault:
        listener.close()
        raise InvalidValue("port", port, f"a port that is free on {host} ({fault})") from fault
    return listener


def url_of(listener: socket.socket) -> str:
    """Give the address that a browser would take."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
