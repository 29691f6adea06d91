"""The page of one script: its history."""

import json
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from scriptfleet.results.pages.script_history import DAYS, hours, percentile, trend
from scriptfleet.results.pages.sources import Sources
from scriptfleet.storage.paging import MOST_ROWS, PageRequest
from scriptfleet.storage.run_store import RunFilter, RunRow

_STRIP: Final = 80
_LISTED: Final = 20


def script_routes(sources: Sources) -> APIRouter:
    """Give the route."""
    router = APIRouter()

    @router.get("/script")
    def show_script(request: Request, name: Annotated[str, Query(min_length=1, max_length=255)]) -> HTMLResponse:
        found = sources.runs.page(RunFilter(name=name), PageRequest(MOST_ROWS))
        ended = [run for run in found.items if run.outcome is not None]
        lines = trend(ended)
        return sources.renderer.page(
            request,
            "script.html",
            script=name,
            runs=found.items[:_LISTED],
            strip=found.items[:_STRIP][::-1],
            count=len(found.items),
            has_more=found.next_cursor is not None,
            chart=json.dumps([lines.moments, lines.p50, lines.p95]),
            points=len(lines.moments),
            cards=_cards(ended),
            hours=list(zip(DAYS, hours(found.items), strict=True)),
        )

    return router


def _cards(ended: list[RunRow]) -> dict[str, Any]:
    walls = sorted(wall for run in ended if (wall := run.usage.execution_time_seconds) is not None)
    memory = [peak for run in ended if (peak := run.usage.memory_max_mb) is not None]
    good = sum(run.usage.success is True for run in ended)
    return {
        "success": f"{100 * good / len(ended):.1f} %" if ended else None,
        "p50": percentile(walls, 0.5) if walls else None,
        "p95": percentile(walls, 0.95) if walls else None,
        "memory": max(memory, default=None),
    }
