"""Submits what is due, each slot under an id of its own, so that it exists once however often it is sent.

There is no leader. Whoever finds a slot due submits it and moves the schedule on; the broker takes a slot's job once,
and the database moves a schedule on from a slot once.
"""

import logging
import time
from dataclasses import dataclass, replace
from typing import Any, Final

from celery.beat import Scheduler

from scriptfleet.config import Settings
from scriptfleet.domain.ids import slot_job_id
from scriptfleet.domain.schedule import Schedule
from scriptfleet.errors import BrokerUnreachable, StoreUnreachable, SubmitUncertain
from scriptfleet.queues.client import Client
from scriptfleet.queues.drafts import Draft
from scriptfleet.storage.engine import open_store
from scriptfleet.storage.migrate import require_current
from scriptfleet.storage.schedules import ScheduleStore

log = logging.getLogger("scriptfleet.beat")

_MOST_PER_TICK: Final = 100


@dataclass(frozen=True, slots=True)
class Firing:
    """Fires what is due."""

    store: ScheduleStore
    client: Client

    def tick(self, now_ms: int) -> int:
        """Fire every slot that is due at ``now_ms``; give how many. What could not be sent is due again."""
        fired = 0
        for schedule in self.store.due(now_ms, _MOST_PER_TICK):
            if not self._fire(schedule, now_ms):
                break
            fired += 1
        return fired

    def _fire(self, schedule: Schedule, now_ms: int) -> bool:
        due = schedule.next_due_ms
        job_id = slot_job_id(schedule.schedule_id, due)
        spec = replace(schedule.spec, schedule=schedule.name)
        try:
            content = self.store.content(schedule.schedule_id)
            self.client.submit_draft(Draft(spec, content), job_id)
        except (BrokerUnreachable, SubmitUncertain) as fault:
            log.warning("slot_waits schedule=%s due_ms=%d reason=%s", schedule.name, due, fault)
            return False
        following = schedule.due_after(due, now_ms)
        if self.store.advance(schedule.schedule_id, due, following, job_id):
            log.info("slot_fired schedule=%s due_ms=%d job=%s next_ms=%d", schedule.name, due, job_id, following)
        return True


class StoreScheduler(Scheduler):  # type: ignore[misc]
    """Celery's hook: beat calls ``tick`` and sleeps for what it answers."""

    firing: Firing

    def tick(self, *_: Any, **__: Any) -> float:
        """Fire what is due; give the seconds until the next look, at most the loop interval."""
        try:
            fired = self.firing.tick(round(time.time() * 1000))
            next_due_ms = self.firing.store.next_due_ms()
        except StoreUnreachable as fault:
            log.warning("store_away reason=%s", fault)
            return float(self.max_interval)
        if fired == _MOST_PER_TICK:
            return 0.0
        if next_due_ms is None:
            return float(self.max_interval)
        return min(max(0.0, next_due_ms / 1000 - time.time()), float(self.max_interval))

    def sync(self) -> None:
        """Nothing is kept here: the store has it all."""

    @property
    def info(self) -> str:
        """What beat's banner says."""
        return "    . schedules -> the store"


def firing_of(settings: Settings) -> Firing:
    """Put the parts together. Raises StoreUnreachable, InvalidValue."""
    database = open_store(settings.store_url())
    require_current(database)
    return Firing(ScheduleStore(database), Client(settings=settings))
