"""Schedules as they are kept; one body for every kind of database."""

import logging
import threading
from dataclasses import replace

import pytest
import sqlalchemy as sa

from scriptfleet.domain.schedule import Schedule
from scriptfleet.errors import InvalidValue
from scriptfleet.storage.engine import Database
from scriptfleet.storage.schedules import ScheduleStore
from tests import event_factory as make

DUE = make.START_MS


def schedule(name: str = "report", due_ms: int = DUE, **changes: object) -> Schedule:
    spec = make.shell_spec("report.sh", args=("a b", 'quote"', "line\nbreak"), schedule=name)
    return replace(Schedule(f"id-{name}", name, spec, 2.5, due_ms), **changes)


def test_a_schedule_comes_back_as_it_was_given(database: Database) -> None:
    store = ScheduleStore(database)
    given = [schedule("a"), schedule("b", is_enabled=False)]
    for one in reversed(given):
        store.add(one)

    assert store.list() == given


def test_a_name_is_taken_once(database: Database) -> None:
    store = ScheduleStore(database)
    store.add(schedule())

    with pytest.raises(InvalidValue, match="schedule name: 'report' is not accepted: expected a name that no other"):
        store.add(replace(schedule(), schedule_id="another"))

    assert len(store.list()) == 1


def test_only_enabled_schedules_that_are_due_are_given_the_longest_overdue_first(database: Database) -> None:
    store = ScheduleStore(database)
    for name, due, is_enabled in [("late", -5, True), ("now", 0, True), ("off", -9, False), ("later", 1, True)]:
        store.add(schedule(name, DUE + due, is_enabled=is_enabled))

    assert [one.name for one in store.due(DUE, 10)] == ["late", "now"]
    assert [one.name for one in store.due(DUE, 1)] == ["late"]


def test_a_slot_is_won_once_however_many_ask(database: Database) -> None:
    store = ScheduleStore(database)
    store.add(schedule())
    won: list[bool] = []

    def ask() -> None:
        won.append(store.advance("id-report", DUE, DUE + 2500, "job-1"))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(won) == [False] * 7 + [True]
    assert store.list()[0].next_due_ms == DUE + 2500


def test_a_removed_schedule_is_gone_and_cannot_move(database: Database) -> None:
    store = ScheduleStore(database)
    store.add(schedule())

    assert store.remove("report") is True
    assert store.remove("report") is False
    assert store.advance("id-report", DUE, DUE + 2500, "job-1") is False
    assert store.list() == []


@pytest.mark.parametrize("spec", ['{"v":99}', "no JSON", '{"v":1,"kind":[],"name":"x","config":{}}'])
def test_a_spec_that_this_version_refuses_is_left_out_told_once_and_left_where_it_is(
    database: Database, caplog: pytest.LogCaptureFixture, spec: str
) -> None:
    store = ScheduleStore(database)
    store.add(schedule("bad", DUE - 9))
    store.add(schedule("good"))
    with database.writing() as connection:
        connection.execute(sa.text("UPDATE schedules SET spec = :spec WHERE name = 'bad'"), {"spec": spec})

    with caplog.at_level(logging.ERROR):
        assert [one.name for one in store.due(DUE, 1)] == ["good"]
        assert [one.name for one in store.list()] == ["good"]

    assert [record.message.split(" reason=")[0] for record in caplog.records] == ["schedule_unreadable schedule=bad"]
    with database.reading() as connection:
        due = connection.execute(sa.text("SELECT next_due_ms FROM schedules WHERE name = 'bad'")).scalar()
    assert due == DUE - 9
    assert store.remove("bad") is True


def test_the_next_moment_is_that_of_the_first_enabled_schedule_which_is_not_overdue(database: Database) -> None:
    store = ScheduleStore(database)
    assert store.next_due_ms(DUE) is None
    for name, due, is_enabled in [("late", -5, True), ("now", 0, True), ("off", 2, False), ("later", 7, True)]:
        store.add(schedule(name, DUE + due, is_enabled=is_enabled))

    assert (store.next_due_ms(DUE), store.next_due_ms(DUE - 1), store.next_due_ms(DUE + 7)) == (DUE + 7, DUE, None)


def test_a_slot_without_a_job_keeps_the_job_of_the_one_before(database: Database) -> None:
    store = ScheduleStore(database)
    store.add(schedule())
    store.advance("id-report", DUE, DUE + 2500, "job-1")

    assert store.advance("id-report", DUE + 2500, DUE + 5000)

    with database.reading() as connection:
        assert connection.execute(sa.text("SELECT last_job_id FROM schedules")).scalar() == "job-1"
