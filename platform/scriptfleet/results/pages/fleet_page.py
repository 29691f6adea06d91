"""Pages of what the fleet is made of: workers, queues, schedules, dead jobs."""

import threading
import time
from collections.abc import Iterator
from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, StreamingResponse

from scriptfleet.config import NoFleet
from scriptfleet.domain.schedule import Schedule
from scriptfleet.errors import BrokerUnreachable
from scriptfleet.queues.connection import told_plainly
from scriptfleet.queues.orders import Verb
from scriptfleet.results.pages.live_line import PageEvent, live_line
from scriptfleet.results.pages.sources import Sources
from scriptfleet.results.rest.seats import Seats
from scriptfleet.storage.job_store import JobFilter
from scriptfleet.storage.paging import PageRequest
from scriptfleet.storage.schedules import ScheduleStore

_DEAD_SHOWN: Final = 100
_TOLD: Final = frozenset({Verb.CORDON, Verb.UNCORDON, Verb.DRAIN})
#: A beat that is up fires a slot sooner than this.
_MISSED_AFTER_SECONDS: Final = 60.0
#: All who follow the fleet are told of one look at it, which is no more than this old.
_FRESH_SECONDS: Final = 1.0


class FleetNow:
    """Looks at the broker's queues and workers, for those who follow them at most once a second."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._guard = threading.Lock()
        self._seen, self._seen_at = dict[str, Any](), float("-inf")

    def look(self) -> dict[str, Any]:
        """Give what pages show, as it is now. Raises BrokerUnreachable, NoFleet."""
        with told_plainly(self._sources.client.broker.url):
            queues, workers = self._sources.fleet.queues(), self._sources.fleet.workers()
        return {"queues": queues, "workers": workers, "now": time.time(), "away": None}

    def follow(self, around: dict[str, object]) -> Iterator[PageEvent | None]:
        """Give the part of the page that changes whenever it has; ``around`` says who looks."""
        shown = ""
        while not self._sources.leaving.wait(_FRESH_SECONDS):
            text = self._sources.renderer.text("fleet_part.html", **around, **self._shared())
            yield PageEvent("html", text) if text != shown else None
            shown = text

    def _shared(self) -> dict[str, Any]:
        with self._guard:
            if time.monotonic() - self._seen_at >= _FRESH_SECONDS:
                try:
                    self._seen = self.look()
                except (NoFleet, BrokerUnreachable) as fault:
                    self._seen = {"queues": {}, "workers": [], "now": time.time(), "away": str(fault)}
                self._seen_at = time.monotonic()
            return self._seen


def fleet_routes(sources: Sources, seats: Seats) -> APIRouter:
    """Give the routes."""
    router = APIRouter()
    fleet = FleetNow(sources)

    @router.get("/fleet")
    def show_fleet(request: Request, told: str = "", worker: str = "") -> HTMLResponse:
        seen = fleet.look()
        # An address is no proof: what it says was told is shown of orders and workers that there are.
        is_told = told in _TOLD and worker in {one.name for one in seen["workers"]}
        return sources.renderer.page(request, "fleet.html", told=(worker, told) if is_told else None, **seen)

    @router.get("/fleet/events")
    def fleet_events(request: Request) -> StreamingResponse:
        around = sources.renderer.around(request)
        return live_line(lambda: fleet.follow(around), seats)

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
