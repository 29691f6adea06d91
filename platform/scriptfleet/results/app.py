"""Puts the service together from its parts. Nothing here opens or reads a setting by itself."""

from dataclasses import dataclass

from fastapi import APIRouter, FastAPI
from fastapi.responses import JSONResponse
from prometheus_client import CollectorRegistry
from starlette.types import ASGIApp

from scriptfleet import __version__
from scriptfleet.config import Settings
from scriptfleet.domain.role import Role
from scriptfleet.results import errors
from scriptfleet.results.access.guard import Access
from scriptfleet.results.access.needs import needs
from scriptfleet.results.headers import SafeHeaders
from scriptfleet.results.health import Health, health_routes
from scriptfleet.results.load import Loads, load_routes
from scriptfleet.results.metrics import metrics_routes
from scriptfleet.results.page_routes import Pages, page_routes
from scriptfleet.results.rest import rest_routes
from scriptfleet.storage.engine import Database
from scriptfleet.storage.job_store import JobStore
from scriptfleet.storage.run_store import RunStore

_DESCRIPTION = (
    "Jobs and runs of a fleet, and what each run cost. With SCRIPTFLEET_API_TOKEN set, send it as "
    "`Authorization: Bearer TOKEN`. Errors are application/problem+json with a stable `code`."
)


@dataclass(frozen=True, slots=True)
class Parts:
    """What the service stands on."""

    database: Database
    health: Health
    registry: CollectorRegistry
    loads: Loads


def create_app(settings: Settings, parts: Parts) -> ASGIApp:
    """Make the web application."""
    app = create_routes(settings, parts)
    app.add_middleware(Access, token=settings.api_token)
    # Around all of it: the answer to a fault of ours is made outside of what add_middleware() adds.
    return SafeHeaders(app)


def create_routes(settings: Settings, parts: Parts) -> FastAPI:
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
    )
    jobs, runs = JobStore(parts.database), RunStore(parts.database)
    pages = Pages(jobs, runs)
    app.include_router(rest_routes(jobs, runs, settings.secret_prefixes))
    app.include_router(load_routes(parts.loads))
    app.include_router(health_routes(parts.health))
    app.include_router(metrics_routes(parts.registry))
    app.include_router(page_routes(pages))
    app.include_router(_description_route(app))
    errors.install(app, pages.problem)
    return app


def _description_route(app: FastAPI) -> APIRouter:
    router = APIRouter(include_in_schema=False, dependencies=[needs(Role.VIEWER)])

    @router.get("/api/v1/openapi.json")
    def openapi() -> JSONResponse:
        return JSONResponse(app.openapi())

    return router
