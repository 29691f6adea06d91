"""Submits what is due, each slot under an id of its own, so that it exists once however often it is sent.

There is no leader. Whoever finds a slot due submits it and moves the schedule on; the broker takes a slot's job once,
and the database moves a schedule on from a slot once. A slot that can never be sent is left out, the schedule goes on.
"""

import logging
import time
from dataclasses import dataclass, replace
from typing import Any, Final

from celery.beat import Scheduler

from scriptfleet.config import Settings
from scriptfleet.domain.ids import slot_job_id
from scriptfleet.domain.schedule import Schedule
from scriptfleet.errors import BrokerUnreachable, ScriptfleetError, StoreUnreachable, SubmitUncertain
from scriptfleet.queues.client import Client
from scriptfleet.queues.drafts import Draft
from scriptfleet.storage.engine import open_store
from scriptfleet.storage.migrate import require_current
from scriptfleet.storage.schedules import ScheduleStore

log = logging.getLogger("scriptfleet.beat")

_MOST_PER_TICK: Final = 100


@dataclass(slots=True)
class Firing:
    """Fires what is due."""

    store: ScheduleStore
    client: Client
    #: Whether the last slot that was due is still to be sent, since the broker did not take it.
    is_waiting: bool = False

    def tick(self, now_ms: int) -> int:
        """Settle every slot that is due at ``now_ms``; give how many. What the broker did not take is due again.

        Raises StoreUnreachable.
        """
        settled = 0
        for schedule in self.store.due(now_ms, _MOST_PER_TICK):
            try:
                self._settle(schedule, now_ms)
            except (BrokerUnreachable, SubmitUncertain) as fault:
                self._wait(schedule, fault)
                break
            settled += 1
        return settled

    def _settle(self, schedule: Schedule, now_ms: int) -> None:
        due = schedule.next_due_ms
        following = schedule.due_after(due, now_ms)
        try:
            job_id = self._submit(schedule)
        except (BrokerUnreachable, SubmitUncertain, StoreUnreachable):
            raise
        except ScriptfleetError as fault:
            self.store.advance(schedule.schedule_id, due, following)
            log.warning("slot_left_out schedule=%s due_ms=%d reason=%s", schedule.name, due, fault)
            return
        self._go_on()
        if self.store.advance(schedule.schedule_id, due, following, job_id):
            log.info("slot_fired schedule=%s due_ms=%d job=%s next_ms=%d", schedule.name, due, job_id, following)

    def _submit(self, schedule: Schedule) -> str:
        job_id = slot_job_id(schedule.schedule_id, schedule.next_due_ms)
        spec = replace(schedule.spec, schedule=schedule.name)
        self.client.submit_draft(Draft(spec, self.store.content(schedule.schedule_id)), job_id)
        return job_id

    def _wait(self, schedule: Schedule, fault: ScriptfleetError) -> None:
        if not self.is_waiting:
            log.warning("slots_wait schedule=%s due_ms=%d reason=%s", schedule.name, schedule.next_due_ms, fault)
        self.is_waiting = True

    def _go_on(self) -> None:
        if self.is_waiting:
            log.info("slots_go_on")
        self.is_waiting = False


class StoreScheduler(Scheduler):  # type: ignore[misc]
    """Celery's hook: beat calls ``tick`` and sleeps for what it answers."""

    firing: Firing
    is_store_away = False

    def tick(self, *_: Any, **__: Any) -> float:
        """Fire what is due; give the seconds until the next look, at most the loop interval."""
        try:
            seconds = self._seconds_after_firing(round(time.time() * 1000))
        except StoreUnreachable as fault:
            if not self.is_store_away:
                log.warning("store_away reason=%s", fault)
            self.is_store_away = True
            return float(self.max_interval)
        if self.is_store_away:
            log.info("store_back")
        self.is_store_away = False
        return min(max(0.0, seconds), float(self.max_interval))

    def _seconds_after_firing(self, now_ms: int) -> float:
        settled = self.firing.tick(now_ms)
        if self.firing.is_waiting:
            return float(self.max_interval)
        if settled == _MOST_PER_TICK:
            return 0.0
        # What is overdue still cannot be read by this version: it is no reason to look again at once.
        next_due_ms = self.firing.store.next_due_ms(now_ms)
        return float(self.max_interval) if next_due_ms is None else next_due_ms / 1000 - time.time()

    def sync(self) -> None:
        """Nothing is kept here: the store has it all."""

    @property
    def info(self) -> str:
        """What beat's banner says."""
        return "    . schedules -> the store"


def firing_of(settings: Settings) -> Firing:
    """Put the parts together. Raises StoreUnreachable, InvalidValue."""
    database = open_store(settings.store_url(), create=False)
    require_current(database)
    return Firing(ScheduleStore(database), Client(settings=settings))
