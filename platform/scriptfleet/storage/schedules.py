"""Schedules as they are kept. Beat asks what is due and moves it on, one winner for each slot."""

import logging
import time
from collections.abc import Iterator
from itertools import islice
from typing import Any

import sqlalchemy as sa

from scriptfleet.domain import check
from scriptfleet.domain.job import JobSpec
from scriptfleet.domain.schedule import Schedule
from scriptfleet.errors import InvalidValue
from scriptfleet.storage.engine import Database
from scriptfleet.storage.tables import schedules

_log = logging.getLogger(__name__)

_COLUMNS = [schedules.c[name] for name in ("schedule_id", "name", "spec", "every_seconds", "next_due_ms", "is_enabled")]


class ScheduleStore:
    """Keeps schedules. Each method raises StoreUnreachable when the database is away."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._unreadable: dict[str, str] = {}

    def add(self, schedule: Schedule, content: bytes | None = None) -> None:
        """Keep a new schedule; raises InvalidValue when its name or id is taken.

        ``content`` are the bytes its spec's source names: a schedule outlives the broker's copy of them.
        """
        row = {
            "schedule_id": schedule.schedule_id,
            "name": schedule.name,
            "spec": schedule.spec.to_json(),
            "every_seconds": schedule.every_seconds,
            "next_due_ms": schedule.next_due_ms,
            "is_enabled": schedule.is_enabled,
            "created_at": time.time(),
            "content": content,
        }
        with self._database.writing() as connection:
            taken = sa.select(schedules.c.schedule_id).where(
                (schedules.c.name == schedule.name) | (schedules.c.schedule_id == schedule.schedule_id)
            )
            insert = self._database.insert_into(schedules).on_conflict_do_nothing()
            is_taken = connection.execute(taken).first() is not None
            # Asked again by the insert itself: another process may have added it in between.
            if is_taken or connection.execute(insert, row).rowcount == 0:
                raise InvalidValue("schedule name", schedule.name, "a name that no other schedule has")

    def remove(self, name: str) -> bool:
        """Forget the schedule of that name; tell whether there was one."""
        found = schedules.c.name == check.text("schedule name", name, 255)
        with self._database.writing() as connection:
            return connection.execute(sa.delete(schedules).where(found)).rowcount > 0

    def due(self, now_ms: int, limit: int) -> list[Schedule]:
        """Give at most ``limit`` enabled schedules that are due at ``now_ms``, the longest overdue first.

        One that this version cannot read is left out, and left where it is for a version that can.
        """
        is_due = schedules.c.is_enabled & (schedules.c.next_due_ms <= now_ms)
        order = (schedules.c.next_due_ms, schedules.c.schedule_id)
        with self._database.reading() as connection:
            # No limit in SQL: rows that cannot be read must not keep those behind them from their turn.
            rows = connection.execute(sa.select(*_COLUMNS).where(is_due).order_by(*order))
            return list(islice(self._readable(rows), limit))

    def next_due_ms(self, after_ms: int) -> int | None:
        """Give the first moment after ``after_ms`` at which an enabled schedule is due, or None when there is none."""
        is_later = schedules.c.is_enabled & (schedules.c.next_due_ms > after_ms)
        earliest = sa.select(sa.func.min(schedules.c.next_due_ms)).where(is_later)
        with self._database.reading() as connection:
            found: int | None = connection.execute(earliest).scalar()
        return found

    def content(self, schedule_id: str) -> bytes | None:
        """Give the bytes of a schedule's script, or None when it has none."""
        wanted = sa.select(schedules.c.content).where(schedules.c.schedule_id == schedule_id)
        with self._database.reading() as connection:
            found: bytes | None = connection.execute(wanted).scalar()
        return found

    def advance(self, schedule_id: str, from_due_ms: int, to_due_ms: int, job_id: str | None = None) -> bool:
        """Move a schedule from one slot to another and note the job of the slot, if it got one.

        Gives False, and changes nothing, when the schedule is not at ``from_due_ms``: another beat was first, or
        the schedule was changed or removed.
        """
        at_slot = (schedules.c.schedule_id == schedule_id) & (schedules.c.next_due_ms == from_due_ms)
        noted = {} if job_id is None else {"last_job_id": job_id}
        moved = sa.update(schedules).where(at_slot).values(next_due_ms=to_due_ms, **noted)
        with self._database.writing() as connection:
            return connection.execute(moved).rowcount == 1

    def list(self) -> list[Schedule]:
        """Give all schedules by name, the disabled ones too; one that this version cannot read is logged instead."""
        with self._database.reading() as connection:
            rows = connection.execute(sa.select(*_COLUMNS).order_by(schedules.c.name))
            return [*self._readable(rows)]

    def _readable(self, rows: sa.CursorResult[Any]) -> Iterator[Schedule]:
        for row in rows:
            try:
                yield _schedule(row)
            except (InvalidValue, TypeError) as fault:
                self._tell_unreadable(row.schedule_id, row.name, str(fault))

    def _tell_unreadable(self, schedule_id: str, name: str, reason: str) -> None:
        if self._unreadable.get(schedule_id) != reason:
            _log.error("schedule_unreadable schedule=%s reason=%s", name, reason)
        self._unreadable[schedule_id] = reason


def _schedule(row: sa.Row[Any]) -> Schedule:
    values = dict(row._mapping)
    return Schedule(**{**values, "spec": JobSpec.from_json(values["spec"])})
