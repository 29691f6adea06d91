"""Celery's events of runs that came without a message: those who watch get all of them, and nobody else any."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
import redis
from celery import Celery

from scriptfleet.config import load_settings
from scriptfleet.queues.claims import Claim
from scriptfleet_workers import transport
from scriptfleet_workers.celery_config import celery_config
from scriptfleet_workers.task_events import TaskEvents
from tests.eventually import eventually

COUNT = 20


@pytest.fixture
def app(redis_url: str) -> Iterator[Celery]:
    transport.register()
    with Celery("watched", set_as_current=False) as app:
        app.conf.update(celery_config(load_settings({"SCRIPTFLEET_REDIS_URL": redis_url})))
        yield app


@pytest.fixture
def events(app: Celery) -> Iterator[TaskEvents]:
    events = TaskEvents(app, "w@h")
    events.start()
    yield events
    events.close()


def claimed(number: int) -> Claim:
    return Claim(f"job-{number}", f"run-{number}", "default", 5, "shell", "a.sh", "", "{}", "", 1, 0.0, 0.0)


def published(client: redis.Redis) -> int:
    return int(client.info("commandstats").get("cmdstat_publish", {"calls": 0})["calls"])


def test_who_watches_is_told_of_every_run(app: Celery, events: TaskEvents) -> None:
    seen: list[str] = []

    def note(event: dict[str, Any]) -> None:
        seen.append(event["uuid"])

    with app.connection_for_read() as connection:
        receiver = app.events.Receiver(connection, handlers={"task-started": note})
        with receiver.consumer_context() as (listening, _, _):
            with suppress(TimeoutError):
                # It subscribes when it first listens.
                listening.drain_events(timeout=0.1)
            for number in range(COUNT):
                events.started(claimed(number))
            while len(seen) < COUNT:
                listening.drain_events(timeout=10)

    assert seen == [f"job-{number}" for number in range(COUNT)]


def test_where_nobody_watches_one_is_sent_to_find_that_out(events: TaskEvents, redis_client: redis.Redis) -> None:
    before = published(redis_client)

    for number in range(COUNT):
        events.started(claimed(number))

    eventually(lambda: published(redis_client) > before and not events._waiting.qsize())
    events.close()
    assert published(redis_client) - before <= 3
