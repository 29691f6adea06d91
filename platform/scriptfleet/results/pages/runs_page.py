"""The list of runs: searched, filtered, sorted, and paged by a cursor. All of it is in the address."""

from typing import Annotated, Final
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from scriptfleet.domain.state import FINAL, State
from scriptfleet.errors import InvalidValue
from scriptfleet.results.pages.list_query import SORTS, ListQuery
from scriptfleet.results.pages.sources import Sources
from scriptfleet.storage.paging import PageRequest
from scriptfleet.storage.run_list import RunList, Wish
from scriptfleet.storage.sorted_runs import MOST_SORTED

ROWS: Final = 50
_UNREADABLE: Final = 422


def runs_routes(sources: Sources) -> APIRouter:
    """Give the route of the list."""
    router = APIRouter()
    runs = RunList(sources.database)

    @router.get("/runs")
    def list_runs(request: Request, query: Annotated[ListQuery, Query()]) -> HTMLResponse:
        try:
            return _listed(sources, request, runs, query, query.wish())
        except InvalidValue as fault:
            answer = sources.renderer.page(request, "runs.html", **_around(query), found=None, fault=str(fault))
            answer.status_code = _UNREADABLE
            return answer

    return router


def _listed(sources: Sources, request: Request, runs: RunList, query: ListQuery, wish: Wish) -> HTMLResponse:
    found = runs.page(wish, PageRequest(ROWS, query.cursor))
    counts = runs.counts(wish)
    tabs = [State.RUNNING, *(state for state in State if state in FINAL and _is_tab(state, query, counts.by_outcome))]
    shown = {"counts": counts, "tabs": tabs, "most_sorted": MOST_SORTED}
    return sources.renderer.page(request, "runs.html", **_around(query), found=found, fault=None, **shown)


def _is_tab(state: State, query: ListQuery, counts: dict[str, int]) -> bool:
    return str(state) in counts or state is query.outcome


def _around(query: ListQuery) -> dict[str, object]:
    """Give the form as it was filled in, and where the page's links lead."""
    return {
        "query": query,
        "said": query.said(),
        "outcomes": [State.RUNNING, *(state for state in State if state in FINAL)],
        "address": lambda **changes: _address(query, changes),
        "sorts": SORTS,
    }


def _address(query: ListQuery, changes: dict[str, str | None]) -> str:
    """Give the address of this list with some of it changed; where that makes another list, its first page."""
    said = {**query.said_all(), **({} if "cursor" in changes else {"cursor": None}), **changes}
    pairs = {name: value for name, value in said.items() if value}
    return f"/runs?{urlencode(pairs)}" if pairs else "/runs"
