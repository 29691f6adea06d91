"""The overview: what runs now, what failed lately, how much gets done, how busy the fleet is. One picture for all."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, StreamingResponse

from scriptfleet.config import NoFleet
from scriptfleet.domain.state import FINAL, State
from scriptfleet.errors import BrokerUnreachable
from scriptfleet.queues.connection import told_plainly
from scriptfleet.results.pages.live_line import PageEvent, live_line
from scriptfleet.results.pages.running_rows import running_rows
from scriptfleet.results.pages.sources import Sources
from scriptfleet.results.rest.seats import Seats
from scriptfleet.storage.activity import activity
from scriptfleet.storage.paging import PageRequest
from scriptfleet.storage.run_filter import RunFilter
from scriptfleet.storage.run_store import RunRow

#: A picture is shared by all who look, and made anew no sooner.
_FRESH_SECONDS: Final = 1.0
#: However many run, a page shows so many; the rest is a number.
_RUNNING_SHOWN, _FAILED_SHOWN, _WORKERS_SHOWN = 15, 8, 24
_BUCKETS: Final = 60
_BUCKET_SECONDS: Final = 60.0
_DAY_SECONDS: Final = 86_400.0
_BAD: Final = (State.FAILED, State.TIMED_OUT, State.OUT_OF_MEMORY, State.LOST, State.REJECTED)


class Overview:
    """Looks at store and broker, at most once a second."""

    def __init__(self, sources: Sources, clock: Callable[[], float] = time.time) -> None:
        self._sources, self._clock = sources, clock
        self._guard = threading.Lock()
        self._text, self._made_at = "", float("-inf")

    def text(self) -> str:
        """Give the picture as HTML, without what depends on who looks. Raises StoreUnreachable."""
        with self._guard:
            if time.monotonic() - self._made_at >= _FRESH_SECONDS:
                self._text = self._sources.renderer.text("overview_part.html", **self._picture())
                self._made_at = time.monotonic()
            return self._text

    def follow(self) -> Iterator[PageEvent | None]:
        """Give the picture whenever it has changed."""
        shown = ""
        while not self._sources.leaving.wait(_FRESH_SECONDS):
            text = self.text()
            yield PageEvent("html", text) if text != shown else None
            shown = text

    def _picture(self) -> dict[str, Any]:
        runs, now = self._sources.runs, self._clock()
        running = runs.page(RunFilter(outcome=State.RUNNING), PageRequest(_RUNNING_SHOWN)).items
        counts = runs.counts(RunFilter(since=now - _DAY_SECONDS))
        return {
            "now": now,
            "running": running_rows(self._sources.client.broker, running),
            "running_count": runs.counts(RunFilter(outcome=State.RUNNING)).get(State.RUNNING, 0),
            "failed": self._failed(now),
            "succeeded_count": counts.get(State.SUCCEEDED, 0),
            "failed_count": sum(counts.get(state, 0) for state in _BAD),
            "ended_count": sum(count for state, count in counts.items() if state in FINAL),
            "bars": self._bars(now),
            **self._fleet(),
        }

    def _failed(self, now: float) -> list[RunRow]:
        since = now - _DAY_SECONDS
        pages = [
            self._sources.runs.page(RunFilter(outcome=state, since=since), PageRequest(_FAILED_SHOWN)) for state in _BAD
        ]
        found = [run for page in pages for run in page.items]
        return sorted(found, key=lambda run: run.began_at, reverse=True)[:_FAILED_SHOWN]

    def _bars(self, now: float) -> list[dict[str, Any]]:
        until = (now // _BUCKET_SECONDS + 1) * _BUCKET_SECONDS
        since = until - _BUCKETS * _BUCKET_SECONDS
        counted = activity(self._sources.database, since, until, _BUCKET_SECONDS)
        most = max((sum(one.values()) for one in counted), default=0) or 1
        return [_bar(one, since + at * _BUCKET_SECONDS, most) for at, one in enumerate(counted)]

    def _fleet(self) -> dict[str, Any]:
        try:
            with told_plainly(self._sources.client.broker.url):
                queues, workers = self._sources.fleet.queues(), self._sources.fleet.workers()
        except (NoFleet, BrokerUnreachable) as fault:
            return {"queues": {}, "workers": [], "workers_more": 0, "slots": 0, "busy": 0, "waiting": 0, "away": fault}
        return {
            "queues": queues,
            "workers": workers[:_WORKERS_SHOWN],
            "workers_more": max(0, len(workers) - _WORKERS_SHOWN),
            "slots": sum(worker.slots for worker in workers),
            "busy": sum(worker.running for worker in workers),
            "waiting": sum(depth.waiting for depth in queues.values()),
            "away": None,
        }


def _bar(counted: dict[str, int], at: float, most: int) -> dict[str, Any]:
    bad = sum(counted.get(state, 0) for state in _BAD)
    whole = sum(counted.values())
    return {"at": at, "count": whole, "bad": bad, "height": 100 * whole / most, "bad_height": 100 * bad / most}


def overview_routes(sources: Sources, seats: Seats) -> APIRouter:
    """Give the routes."""
    router = APIRouter()
    overview = Overview(sources)

    @router.get("/")
    def show(request: Request) -> HTMLResponse:
        return sources.renderer.page(request, "overview.html", part=overview.text())

    @router.get("/overview/events")
    def events() -> StreamingResponse:
        return live_line(overview.follow, seats)

    return router
