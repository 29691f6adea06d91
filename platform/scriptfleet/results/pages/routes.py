"""All pages, and the files that they load."""

from pathlib import Path
from typing import Final

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response
from starlette.exceptions import HTTPException

from scriptfleet.domain.role import Role
from scriptfleet.results.access.needs import needs, open_to_all
from scriptfleet.results.pages.actions import action_routes
from scriptfleet.results.pages.compare_page import compare_routes
from scriptfleet.results.pages.definition_page import definition_page_routes
from scriptfleet.results.pages.fleet_page import fleet_routes
from scriptfleet.results.pages.overview import overview_routes
from scriptfleet.results.pages.rendering import FOLDER
from scriptfleet.results.pages.run_page import run_routes
from scriptfleet.results.pages.runs_page import runs_routes
from scriptfleet.results.pages.script_page import script_routes
from scriptfleet.results.pages.sources import Sources
from scriptfleet.results.rest.seats import PAGES, Seats

_TYPES: Final = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
#: An hour: a file of an older version must not stay for long after an upgrade.
_KEPT: Final = {"Cache-Control": "max-age=3600"}


def page_routes(sources: Sources) -> APIRouter:
    """Give the routes of all pages."""
    router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse, dependencies=[needs(Role.VIEWER)])
    seats = Seats("live pages", PAGES)
    router.include_router(overview_routes(sources, seats))
    router.include_router(run_routes(sources, seats))
    router.include_router(runs_routes(sources))
    router.include_router(compare_routes(sources))
    router.include_router(script_routes(sources))
    router.include_router(fleet_routes(sources))
    router.include_router(action_routes(sources))
    router.include_router(definition_page_routes(sources))
    _add_submit_page(router, sources)
    _add_files(router)
    return router


def style_route() -> APIRouter:
    """Give the style sheet, to the login page too."""
    router = APIRouter(include_in_schema=False, dependencies=[open_to_all])
    style = (FOLDER / "static" / "style.css").read_bytes()

    @router.get("/style.css")
    def style_sheet() -> Response:
        return Response(style, media_type=_TYPES[".css"], headers=_KEPT)

    return router


def _add_submit_page(router: APIRouter, sources: Sources) -> None:
    @router.get("/submit")
    def submit_page(request: Request) -> HTMLResponse:
        return sources.renderer.page(request, "submit.html")


def _add_files(router: APIRouter) -> None:
    files = {path.name: path.read_bytes() for path in (FOLDER / "static").iterdir() if path.suffix in _TYPES}

    def answer(name: str) -> Response:
        return Response(files[name], media_type=_TYPES[Path(name).suffix], headers=_KEPT)

    @router.get("/static/{name}")
    def static_file(name: str) -> Response:
        if name not in files:
            raise HTTPException(404)
        return answer(name)
