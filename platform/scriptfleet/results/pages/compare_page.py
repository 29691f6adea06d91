"""The page that compares two runs: what differs first."""

import json
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from scriptfleet.domain.comparison import Difference, measure_differences, spec_differences
from scriptfleet.domain.usage import MEASURES
from scriptfleet.errors import RunNotFound
from scriptfleet.results import shown
from scriptfleet.results.pages.curve import together
from scriptfleet.results.pages.run_page import spec_of
from scriptfleet.results.pages.sources import Sources
from scriptfleet.storage.paging import PageRequest
from scriptfleet.storage.run_filter import RunFilter
from scriptfleet.storage.run_store import RunRow

_OFFERED: Final = 20
#: Changes are shown from here on, and from there on without a decimal place.
_SHOWN_PERCENT, _WHOLE_PERCENT = 0.05, 10
_Id = Annotated[str, Query(max_length=64)]


def compare_routes(sources: Sources) -> APIRouter:
    """Give the route."""
    router = APIRouter()

    @router.get("/compare")
    def compare(request: Request, left: _Id = "", right: _Id = "") -> HTMLResponse:
        runs = (_run(sources, left), _run(sources, right))
        if runs[0] is None or runs[1] is None:
            return sources.renderer.page(request, "compare_choice.html", left=left, right=right, runs=runs)
        return _compared(sources, request, runs[0], runs[1])

    return router


def _run(sources: Sources, run_id: str) -> RunRow | None:
    """Give a run, or None for one that is not there: the page then asks for another id."""
    try:
        return sources.runs.get(run_id.strip()) if run_id.strip() else None
    except RunNotFound:
        return None


def _compared(sources: Sources, request: Request, left: RunRow, right: RunRow) -> HTMLResponse:
    curves = [sources.runs.curve(run.run_id) for run in (left, right)]
    others = sources.runs.page(RunFilter(name=right.name), PageRequest(_OFFERED)).items if right.name else []
    return sources.renderer.page(
        request,
        "compare.html",
        left=left,
        right=right,
        others=others,
        measures=[_row(one) for one in measure_differences(left.usage, right.usage)],
        specs=[_row(one) for one in spec_differences(spec_of(sources, left.job_id), spec_of(sources, right.job_id))],
        chart=json.dumps(together(*curves)),
        has_curves=any(len(curve) > 1 for curve in curves),
    )


def _row(found: Difference) -> dict[str, Any]:
    relative = found.relative
    is_measure = found.name in MEASURES
    values = [shown.value_text(value) for value in (found.left, found.right)]
    return {
        "name": shown.printable(found.name),
        "left": values[0],
        "right": values[1],
        "unit": shown.unit_of(found.name) if is_measure else "",
        "change": "" if relative is None else _percent(100 * relative),
        "direction": "" if not relative else "more" if relative > 0 else "less",
        "size": abs(relative or 0.0),
    }


def _percent(change: float) -> str:
    if abs(change) < _SHOWN_PERCENT:
        return "0 %"
    return f"{change:+.0f} %" if abs(change) >= _WHOLE_PERCENT else f"{change:+.1f} %"
