"""All pages, and the files that they load."""

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response
from starlette.exceptions import HTTPException

from scriptfleet.domain.role import Role
from scriptfleet.results.access.needs import needs, open_to_all
from scriptfleet.results.pages.actions import action_routes
from scriptfleet.results.pages.audit_page import audit_page_routes
from scriptfleet.results.pages.compare_page import compare_routes
from scriptfleet.results.pages.definition_page import definition_page_routes
from scriptfleet.results.pages.fleet_page import fleet_routes
from scriptfleet.results.pages.overview import overview_routes
from scriptfleet.results.pages.run_page import run_routes
from scriptfleet.results.pages.runs_page import runs_routes
from scriptfleet.results.pages.script_page import script_routes
from scriptfleet.results.pages.sources import Sources
from scriptfleet.results.pages.static_files import OPEN_FILES, StaticFiles
from scriptfleet.results.pages.submit_page import submit_routes
from scriptfleet.results.pages.token_page import token_routes
from scriptfleet.results.rest.seats import PAGES, Seats


def page_routes(sources: Sources) -> APIRouter:
    """Give the routes of all pages."""
    router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse, dependencies=[needs(Role.VIEWER)])
    seats = Seats("live pages", PAGES)
    router.include_router(overview_routes(sources, seats))
    router.include_router(run_routes(sources, seats))
    router.include_router(runs_routes(sources))
    router.include_router(compare_routes(sources))
    router.include_router(script_routes(sources))
    router.include_router(fleet_routes(sources, seats))
    router.include_router(action_routes(sources))
    router.include_router(definition_page_routes(sources))
    router.include_router(token_routes(sources))
    router.include_router(audit_page_routes(sources))
    router.include_router(submit_routes(sources))
    _add_files(router, sources.renderer.files)
    return router


def open_file_routes(files: StaticFiles) -> APIRouter:
    """Give the files that the login page has too."""
    router = APIRouter(include_in_schema=False, dependencies=[open_to_all])

    def add(name: str) -> None:
        @router.get(f"/{name}")
        def open_file(request: Request) -> Response:
            return files.answer(request, name)

    for name in OPEN_FILES:
        add(name)
    return router


def _add_files(router: APIRouter, files: StaticFiles) -> None:
    @router.get("/static/{name}")
    def static_file(request: Request, name: str) -> Response:
        if name not in files:
            raise HTTPException(404)
        return files.answer(request, name)
