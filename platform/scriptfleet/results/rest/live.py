"""What runs now and what has just changed, for whoever watches: one look a second, shared by all watchers.

However many runs there are, one look tells a bounded part of them and the number of the rest; a watcher that is slow
misses looks, and is then given the whole picture again.
"""

import json
import logging
import threading
import time
from dataclasses import dataclass, field
from typing import Any, Final

from fastapi import APIRouter, Response
from fastapi.responses import StreamingResponse

from scriptfleet.config import NoFleet
from scriptfleet.domain.role import Role
from scriptfleet.domain.state import State
from scriptfleet.errors import BrokerUnreachable, RunNotFound, StoreUnreachable
from scriptfleet.queues.connection import told_plainly
from scriptfleet.results.access.needs import needs
from scriptfleet.results.rest.event_stream import HEARTBEAT, MEDIA_TYPE, RETRY, EventStream, event
from scriptfleet.results.rest.models import moment
from scriptfleet.results.rest.parts import RestParts
from scriptfleet.results.rest.seated_stream import Pieces
from scriptfleet.storage.paging import PageRequest
from scriptfleet.storage.run_filter import RunFilter
from scriptfleet.storage.run_store import RunRow

_log = logging.getLogger(__name__)

EVERY_SECONDS: Final = 1.0
#: So many runs one look tells of; a page shows no more.
MOST_RUNS: Final = 200
_HEARTBEAT_LOOKS: Final = 10
#: Without a watcher for so many looks, nobody looks any more.
_IDLE_LOOKS: Final = 5


_COUNTED: Final = ("running", "queued", "delayed")
#: A run that began so lately and has ended is told, if it was not.
_SHORT_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class Look:
    """What one look found."""

    number: int = 0
    #: Runs under way, the last begun first, by run id.
    running: dict[str, dict[str, Any]] = field(default_factory=dict)
    #: Those that were not there before, those that have ended since, each as it is now.
    changed: list[dict[str, Any]] = field(default_factory=list)
    #: Last reading of each run under way, by run id.
    readings: dict[str, Any] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    queues: list[dict[str, Any]] = field(default_factory=list)
    #: What could not be asked, and why.
    trouble: str | None = None
    #: Runs whose ends were told lately.
    told: frozenset[str] = frozenset()

    def whole(self) -> bytes:
        """Give it to a watcher that knows nothing."""
        said = {"runs": list(self.running.values()), "readings": self.readings, **self._common()}
        return event("snapshot", said, str(self.number))

    def news(self) -> bytes:
        """Give it to a watcher that has the look before."""
        return event("change", {"changed": self.changed, "readings": self.readings, **self._common()}, str(self.number))

    def _common(self) -> dict[str, Any]:
        return {"counts": self.counts, "queues": self.queues, "trouble": self.trouble}


class Watch:
    """Looks while somebody watches. The thread ends by itself when nobody has for some seconds."""

    def __init__(self, parts: RestParts) -> None:
        self._parts = parts
        self._news = threading.Condition()
        self._last = Look()
        self._asked = 0
        self._is_looking = False

    def events(self) -> Pieces:
        """Give what there is, then what changes."""
        yield RETRY
        known = -1
        while not self._parts.leaving.is_set():
            look = self._next(known)
            if look is None:
                yield HEARTBEAT
                continue
            yield look.news() if look.number == known + 1 else look.whole()
            known = look.number

    def _next(self, known: int) -> Look | None:
        """Give the newest look once there is one that is not known; None where none comes."""
        with self._news:
            self._asked = self._last.number
            # After a time without watchers the last look is an old one.
            seen = known if self._is_looking else self._last.number
            self._look_on()
            longest = EVERY_SECONDS * _HEARTBEAT_LOOKS
            is_there = self._news.wait_for(lambda: self._last.number > max(seen, 0), longest)
            return self._last if is_there else None

    def _look_on(self) -> None:
        if not self._is_looking:
            self._is_looking = True
            threading.Thread(target=self._run, name="live", daemon=True).start()

    def _run(self) -> None:
        while not self._parts.leaving.is_set():
            found = self._found()
            with self._news:
                self._last = found
                self._news.notify_all()
                if found.number - self._asked > _IDLE_LOOKS:
                    self._is_looking = False
                    return
            self._parts.leaving.wait(EVERY_SECONDS)

    def _found(self) -> Look:
        before = self._last
        try:
            return self._look(before)
        except (StoreUnreachable, BrokerUnreachable) as fault:
            return Look(before.number + 1, before.running, trouble=str(fault), told=before.told)
        except Exception as fault:  # the edge of this thread: nothing above would tell, and watchers would wait
            _log.exception("live_look_failed")
            return Look(before.number + 1, before.running, trouble=type(fault).__name__, told=before.told)

    def _look(self, before: Look) -> Look:
        rows = self._parts.runs.page(RunFilter(outcome=State.RUNNING), PageRequest(MOST_RUNS)).items
        running = {row.run_id: _run(row) for row in rows}
        new = [run for run_id, run in running.items() if run_id not in before.running]
        ended = self._ended(before, running)
        counts, queues = self._load()
        told = frozenset(run["run_id"] for run in ended)
        changed = [*new, *(run for run in ended if run["run_id"] not in before.told)]
        return Look(before.number + 1, running, changed, self._readings(rows), counts, queues, None, told)

    def _ended(self, before: Look, running: dict[str, Any]) -> list[dict[str, Any]]:
        """Give the runs that were under way and are not told as such any more, and the newest that have ended."""
        gone = [self._one(run_id) for run_id in before.running if run_id not in running]
        # Short ones begin and end between two looks.
        since = time.time() - _SHORT_SECONDS
        newest = self._parts.runs.page(RunFilter(since=since), PageRequest(MOST_RUNS)).items
        found = [row for row in (*gone, *newest) if row is not None and row.run_id not in running]
        return list({row.run_id: _run(row) for row in found}.values())

    def _one(self, run_id: str) -> RunRow | None:
        try:
            return self._parts.runs.get(run_id)
        except RunNotFound:
            # Retention has taken it.
            return None

    def _load(self) -> tuple[dict[str, int], list[dict[str, Any]]]:
        loads = self._parts.loads.all()
        counts = {what: sum(getattr(load, what) for load in loads.values()) for what in _COUNTED}
        shown = (*_COUNTED, "slots")
        return counts, [
            {"queue": name, **{what: getattr(load, what) for what in shown}} for name, load in loads.items()
        ]

    def _readings(self, rows: list[RunRow]) -> dict[str, Any]:
        broker = self._parts.client.broker
        if not rows:
            return {}
        try:
            with told_plainly(broker.url):
                found = broker.redis.hmget(broker.keys("live"), [row.job_id for row in rows])
        except NoFleet:
            return {}
        return {row.run_id: json.loads(said) for row, said in zip(rows, found, strict=True) if said}


def live_routes(parts: RestParts) -> APIRouter:
    """Give the route."""
    router = APIRouter(prefix="/api/v1", tags=["live"], dependencies=[needs(Role.VIEWER)])
    watch = Watch(parts)

    @router.get(
        "/live",
        summary="What runs now and what changes, as server-sent events: a snapshot, then changes about once a second",
        response_class=StreamingResponse,
        responses={200: {"content": {MEDIA_TYPE: {"schema": {"type": "string"}}}}},
    )
    def watch_fleet() -> Response:
        return EventStream(watch.events, parts.followers)

    return router


def _run(row: RunRow) -> dict[str, Any]:
    same = ("run_id", "job_id", "name", "kind", "queue", "attempt", "worker")
    found: dict[str, Any] = {name: getattr(row, name) for name in same}
    moments = {name: moment(getattr(row, name)) for name in ("began_at", "finished_at")}
    iso = {name: None if at is None else at.isoformat() for name, at in moments.items()}
    seconds = row.usage.execution_time_seconds
    return found | iso | {"outcome": row.outcome, "execution_time_seconds": seconds}
