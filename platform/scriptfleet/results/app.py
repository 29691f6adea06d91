"""Puts the service together from its parts. Nothing here opens or reads a setting by itself."""

import threading
from dataclasses import dataclass, field
from functools import partial

from fastapi import FastAPI
from prometheus_client import CollectorRegistry
from starlette.types import ASGIApp

from scriptfleet import __version__
from scriptfleet.config import Settings
from scriptfleet.queues.client import Client
from scriptfleet.results import errors
from scriptfleet.results.access.audit_routes import audit_routes
from scriptfleet.results.access.guard import OPEN_PATHS, Access
from scriptfleet.results.access.keyring import Keyring
from scriptfleet.results.access.login import login_routes
from scriptfleet.results.access.tries import Failures, Tries
from scriptfleet.results.bounded_body import BoundedBody, most_body_bytes
from scriptfleet.results.headers import SafeHeaders
from scriptfleet.results.health import Health, health_routes
from scriptfleet.results.load import Loads, load_routes
from scriptfleet.results.metrics import METRICS, metrics_routes
from scriptfleet.results.pages.rendering import Renderer
from scriptfleet.results.pages.routes import open_file_routes, page_routes
from scriptfleet.results.pages.sources import Sources
from scriptfleet.results.rest.description import description_routes, operation_id
from scriptfleet.results.rest.parts import RestParts
from scriptfleet.results.rest.routes import rest_routes
from scriptfleet.results.rest.seats import enough_threads
from scriptfleet.storage.audit_store import AuditStore
from scriptfleet.storage.definitions import DefinitionStore
from scriptfleet.storage.engine import Database
from scriptfleet.storage.job_store import JobStore
from scriptfleet.storage.run_store import RunStore
from scriptfleet.storage.stored_output import StoredOutput

_DESCRIPTION = (
    "Jobs and runs of a fleet, and what each run cost. Send a token of `scriptfleet token add NAME --role ROLE` as "
    "`Authorization: Bearer TOKEN`. Errors are application/problem+json with a stable `code`."
)


@dataclass(frozen=True, slots=True)
class Parts:
    """What the service stands on."""

    database: Database
    health: Health
    registry: CollectorRegistry
    loads: Loads
    client: Client
    #: Set when the service ends: answers that go on for as long as somebody looks end then.
    leaving: threading.Event = field(default_factory=threading.Event)


def create_app(settings: Settings, parts: Parts) -> ASGIApp:
    """Make the web application."""
    keyring = keyring_of(settings, parts.database)
    app = create_routes(settings, parts, keyring)
    open_paths = OPEN_PATHS | ({METRICS} if settings.open_metrics else frozenset())
    page = Renderer().problem
    guarded = Access(app, keyring, AuditStore(parts.database).add, open_paths, page)
    # Around all of it, since the answer to a fault of ours has the headers too.
    return SafeHeaders(BoundedBody(guarded, most_body_bytes(settings.blob_max_bytes)))


def keyring_of(settings: Settings, database: Database) -> Keyring:
    """Give what knows the tokens."""
    return Keyring(database, settings.api_token, settings.session_hours * 3600)


def _failed_logins(database: Database) -> Failures:
    # The log has each failure, whichever process of the service was asked.
    return partial(AuditStore(database).refused_since, "login")


def create_routes(settings: Settings, parts: Parts, keyring: Keyring) -> FastAPI:
    """Make all routes; each says which role it needs."""
    app = FastAPI(
        title="Scriptfleet",
        version=__version__,
        description=_DESCRIPTION,
        # Made below, where it needs a role.
        openapi_url=None,
        # They would load scripts from another site.
        docs_url=None,
        redoc_url=None,
        generate_unique_id_function=operation_id,
        lifespan=enough_threads,
    )
    jobs, runs = JobStore(parts.database), RunStore(parts.database)
    sources = Sources.of(parts.database, parts.client, parts.leaving)
    definitions = DefinitionStore(parts.database)
    outputs = StoredOutput(parts.database)
    rest = RestParts(
        jobs,
        runs,
        outputs,
        parts.database,
        parts.client,
        parts.loads,
        definitions,
        settings.secret_prefixes,
        leaving=parts.leaving,
    )
    app.include_router(rest_routes(rest))
    app.include_router(load_routes(parts.loads))
    app.include_router(health_routes(parts.health))
    app.include_router(metrics_routes(parts.registry, is_open=settings.open_metrics))
    app.include_router(page_routes(sources))
    app.include_router(open_file_routes(sources.renderer.files))
    app.include_router(login_routes(keyring, Tries(_failed_logins(parts.database)), sources.renderer.page))
    app.include_router(audit_routes(AuditStore(parts.database)))
    app.include_router(description_routes(app))
    errors.install(app, sources.renderer.problem)
    return app
