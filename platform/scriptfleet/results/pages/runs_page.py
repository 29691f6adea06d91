"""The list of runs: filtered, and paged by a cursor in the address."""

from typing import Annotated, Final

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, ConfigDict

from scriptfleet.domain.state import FINAL, State
from scriptfleet.results.pages.sources import Sources
from scriptfleet.results.rest.models import seconds_of
from scriptfleet.storage.paging import PageRequest
from scriptfleet.storage.run_store import RunFilter

ROWS: Final = 50


class ListQuery(BaseModel):
    """What the list of runs can be asked for. Empty fields of the form mean any."""

    model_config = ConfigDict(extra="forbid")

    name: str = ""
    queue: str = ""
    worker: str = ""
    since: str = ""
    until: str = ""
    outcome: State | None = None
    cursor: str | None = None

    def which(self, *, any_outcome: bool = False) -> RunFilter:
        """Give what the store takes; raises InvalidValue."""
        return RunFilter(
            name=self.name or None,
            queue=self.queue or None,
            worker=self.worker or None,
            since=_moment("since", self.since),
            until=_moment("until", self.until),
            outcome=None if any_outcome else self.outcome,
        )

    def fields(self) -> dict[str, str]:
        """Give what is asked for beside outcome and page."""
        names = ("name", "queue", "worker", "since", "until")
        return {name: getattr(self, name) for name in names if getattr(self, name)}


def _moment(field: str, said: str) -> float | None:
    # A browser's field for a moment gives no offset: pages speak of UTC.
    is_local = "T" in said and not said.endswith("Z") and "+" not in said
    return seconds_of(field, f"{said}Z" if is_local else said or None)


def runs_routes(sources: Sources) -> APIRouter:
    """Give the route of the list."""
    router = APIRouter()

    @router.get("/runs")
    def list_runs(request: Request, query: Annotated[ListQuery, Query()]) -> HTMLResponse:
        counts = sources.runs.counts(query.which(any_outcome=True))
        return sources.renderer.page(
            request,
            "runs.html",
            page=sources.runs.page(query.which(), PageRequest(ROWS, query.cursor)),
            counts=counts,
            query=query,
            outcomes=[State.RUNNING, *(state for state in State if state in FINAL and str(state) in counts)],
        )

    return router
