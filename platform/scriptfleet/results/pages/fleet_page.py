"""Pages of what the fleet is made of: workers, queues, schedules, dead jobs."""

import time
from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from scriptfleet.domain.schedule import Schedule
from scriptfleet.queues.connection import told_plainly
from scriptfleet.queues.orders import Verb
from scriptfleet.results.pages.sources import Sources
from scriptfleet.storage.job_store import JobFilter
from scriptfleet.storage.paging import PageRequest
from scriptfleet.storage.schedules import ScheduleStore

_DEAD_SHOWN: Final = 100
_TOLD: Final = frozenset({Verb.CORDON, Verb.UNCORDON, Verb.DRAIN})
#: A beat that is up fires a slot sooner than this.
_MISSED_AFTER_SECONDS: Final = 60.0


def fleet_routes(sources: Sources) -> APIRouter:
    """Give the routes."""
    router = APIRouter()

    @router.get("/fleet")
    def show_fleet(request: Request, told: str = "", worker: str = "") -> HTMLResponse:
        with told_plainly(sources.client.broker.url):
            queues, workers = sources.fleet.queues(), sources.fleet.workers()
        # An address is no proof: what it says was told is shown of orders and workers that there are.
        is_told = told in _TOLD and worker in {one.name for one in workers}
        shown = {"told": (worker, told) if is_told else None, "now": time.time()}
        return sources.renderer.page(request, "fleet.html", queues=queues, workers=workers, **shown)

    @router.get("/schedules")
    def show_schedules(request: Request) -> HTMLResponse:
        rows = [_row(sources, one) for one in ScheduleStore(sources.database).list()]
        return sources.renderer.page(request, "schedules.html", rows=rows)

    @router.get("/dead")
    def show_dead(request: Request) -> HTMLResponse:
        found = sources.client.dead.newest(limit=_DEAD_SHOWN)
        return sources.renderer.page(request, "dead.html", jobs=found, most=_DEAD_SHOWN)

    return router


def _row(sources: Sources, schedule: Schedule) -> dict[str, Any]:
    last = sources.jobs.page(JobFilter(schedule=schedule.name), PageRequest(1)).items
    late = time.time() - schedule.next_due_ms / 1000
    is_missed = schedule.is_enabled and late > _MISSED_AFTER_SECONDS
    return {"schedule": schedule, "last": last[0] if last else None, "late_seconds": late if is_missed else None}
