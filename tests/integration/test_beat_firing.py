"""What beat does with slots that cannot be sent, over a real server and a real database."""

import logging
import socket
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from celery import Celery

from scriptfleet import Client
from scriptfleet.config import Settings
from scriptfleet.domain.schedule import Schedule
from scriptfleet.queues.drafts import of_code
from scriptfleet.storage.engine import Database, open_store
from scriptfleet.storage.schedules import ScheduleStore
from scriptfleet_beat.scheduler import Firing, StoreScheduler
from tests import event_factory as make

NOW = make.START_MS


@pytest.fixture
def opened(sqlite_url: str) -> Iterator[Database]:
    database = open_store(sqlite_url)
    yield database
    database.close()


@pytest.fixture
def client(redis_url: str, tmp_path: Path) -> Client:
    return Client(settings=Settings(tmp_path, redis_url, namespace=f"t{uuid.uuid4().hex[:12]}", blob_max_bytes=1000))


@pytest.fixture
def lonely_client(tmp_path: Path) -> Iterator[Client]:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        yield Client(settings=Settings(tmp_path, f"redis://127.0.0.1:{unused.getsockname()[1]}"))


def schedule(name: str, due_ms: int = NOW) -> Schedule:
    return Schedule(f"id-{name}", name, make.shell_spec(f"{name}.sh"), 60, due_ms)


def scheduler(firing: Firing) -> StoreScheduler:
    class Made(StoreScheduler):
        def setup_schedule(self) -> None:
            self.firing = firing

    app = Celery("test", broker="memory://")
    return Made(app, max_interval=1.0)


def due_of(store: ScheduleStore) -> dict[str, int]:
    return {one.name: one.next_due_ms for one in store.list()}


def test_a_slot_that_can_never_be_sent_is_left_out_and_the_others_are_fired(
    opened: Database, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    store, firing = ScheduleStore(opened), Firing(ScheduleStore(opened), client)
    large = of_code("#" * 2000, [], 1 << 20, name="large.py")
    store.add(replace(schedule("large", NOW - 5), spec=large.spec), large.content)
    store.add(schedule("good"))

    with caplog.at_level(logging.INFO):
        assert firing.tick(NOW) == 2

    assert due_of(store) == {"large": NOW - 5 + 60_000, "good": NOW + 60_000}
    assert "slot_left_out schedule=large" in caplog.text
    assert "slot_fired schedule=good" in caplog.text
    assert not firing.is_waiting


def test_a_schedule_that_this_version_cannot_read_keeps_nobody_from_its_turn(opened: Database, client: Client) -> None:
    store = ScheduleStore(opened)
    beat = scheduler(Firing(store, client))
    store.add(schedule("newer", NOW - 5))
    store.add(schedule("good"))
    with opened.writing() as connection:
        connection.execute(sa.text("UPDATE schedules SET spec = 'newer' WHERE name = 'newer'"))

    # Its slot stays due, and beat sleeps all the same.
    assert beat.tick() == 1.0

    assert due_of(store)["good"] > NOW


def test_while_the_broker_is_away_beat_sleeps_between_looks_and_tells_it_once(
    opened: Database, client: Client, lonely_client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    store = ScheduleStore(opened)
    firing = Firing(store, lonely_client)
    beat = scheduler(firing)
    store.add(schedule("good"))

    with caplog.at_level(logging.INFO):
        assert [beat.tick() for _ in range(2)] == [1.0, 1.0]
        assert due_of(store) == {"good": NOW}
        firing.client = client
        beat.tick()

    told = [record.message.split()[0] for record in caplog.records if record.name == "scriptfleet.beat"]
    assert told == ["slots_wait", "slots_go_on", "slot_fired"]


def test_while_the_database_is_of_no_use_beat_sleeps_and_tells_it_once(
    opened: Database, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    beat = scheduler(Firing(ScheduleStore(opened), client))
    with opened.writing() as connection:
        connection.execute(sa.text("ALTER TABLE schedules RENAME TO hidden"))

    with caplog.at_level(logging.INFO):
        assert [beat.tick() for _ in range(3)] == [1.0] * 3
        with opened.writing() as connection:
            connection.execute(sa.text("ALTER TABLE hidden RENAME TO schedules"))
        beat.tick()

    told = [record.message.split()[0] for record in caplog.records if record.name == "scriptfleet.beat"]
    assert told == ["store_away", "store_back"]
