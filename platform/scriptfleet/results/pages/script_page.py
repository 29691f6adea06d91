"""The page of one script: its history in a range of time. However many runs there are, what is shown is bounded."""

import time
from enum import StrEnum
from typing import Annotated, Final

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, ConfigDict, Field

from scriptfleet.results.pages.script_history import ScriptHistory
from scriptfleet.results.pages.sources import Sources
from scriptfleet.storage.paging import PageRequest
from scriptfleet.storage.run_filter import RunFilter

_STRIP: Final = 80
_LISTED: Final = 20
_DAY_SECONDS: Final = 86_400


class Range(StrEnum):
    """The last so many days."""

    DAY = "1"
    WEEK = "7"
    MONTH = "30"
    QUARTER = "90"
    YEAR = "365"
    ALL = "all"


_RANGES: Final = {
    Range.DAY: "24 hours",
    Range.WEEK: "7 days",
    Range.MONTH: "30 days",
    Range.QUARTER: "90 days",
    Range.YEAR: "A year",
    Range.ALL: "All",
}


class ScriptQuery(BaseModel):
    """Which script, and how far back."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, max_length=255)
    days: Range = Range.MONTH

    def since(self, now: float) -> float | None:
        """Give where the range begins, seconds since the epoch; None is all there is."""
        return None if self.days is Range.ALL else max(0.0, now - int(self.days) * _DAY_SECONDS)


def script_routes(sources: Sources) -> APIRouter:
    """Give the route."""
    router = APIRouter()

    @router.get("/script")
    def show_script(request: Request, query: Annotated[ScriptQuery, Query()]) -> HTMLResponse:
        now = time.time()
        # Of any time, so that a script which has not run lately still shows how it went.
        newest = sources.runs.page(RunFilter(name=query.name), PageRequest(_STRIP)).items
        history = ScriptHistory(sources.database, RunFilter(name=query.name, since=query.since(now)), now)
        return sources.renderer.page(
            request,
            "script.html",
            script=query.name,
            ranges=_RANGES,
            days=query.days,
            newest=newest,
            listed=newest[:_LISTED],
            cards=history.cards(),
            trend=history.trend(),
            hours=history.hours(),
        )

    return router
