"""Threads that outlive what goes wrong in them, and a heartbeat that does each part whatever became of the others."""

import logging
import threading
import time
import uuid

import pytest
import redis

from scriptfleet.config import load_settings
from scriptfleet.queues.claims import Claims
from scriptfleet.queues.client import Client
from scriptfleet.queues.drafts import of_command
from scriptfleet.queues.fleet import FleetView, Presence, SignOfLife
from scriptfleet.queues.keys import Keys
from scriptfleet_workers.active import ActiveRuns
from scriptfleet_workers.heartbeat import Heartbeat
from scriptfleet_workers.rounds import Rounds
from tests.eventually import eventually


def test_rounds_go_on_after_a_fault_and_count_those_in_a_row(caplog: pytest.LogCaptureFixture) -> None:
    failing, done = threading.Event(), threading.Event()
    failing.set()

    def step() -> None:
        if failing.is_set():
            raise KeyError("ours")
        done.set()

    rounds = Rounds("test", 0.01, step)
    rounds.start()
    eventually(lambda: rounds.failed >= 3)
    failing.clear()
    eventually(done.is_set)
    eventually(lambda: rounds.failed == 0)
    rounds.close()

    assert "round_failed thread=test" in caplog.text


def test_a_fault_in_one_part_of_the_heartbeat_does_not_keep_the_others_from_running(
    redis_client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    keys = Keys("beats")
    claims, presence = Claims(redis_client, keys, "w1", 60), Presence(redis_client, keys, "w1")
    presence.tell(SignOfLife("host", 2, 0, ["default"], "0.1"))

    def broken(_: Presence) -> None:
        raise OSError("no /proc")

    beat = Heartbeat(claims, ActiveRuns(), presence, broken)
    with caplog.at_level(logging.WARNING):
        beat.start()
        beat.close()

    # The window is set by the tick, which comes after the part that failed.
    assert redis_client.get(keys("window", "default")) == b"4"
    assert "no /proc" in caplog.text
    assert FleetView(redis_client, keys).workers() == []


def test_a_beat_moves_more_jobs_than_one_tick_does(redis_client: redis.Redis, redis_url: str) -> None:
    settings = load_settings({"SCRIPTFLEET_REDIS_URL": redis_url, "SCRIPTFLEET_NAMESPACE": f"t{uuid.uuid4().hex[:8]}"})
    client = Client(settings=settings)
    keys = client.broker.keys
    client.submit_many(of_command("true", not_before=time.time() + 3600) for _ in range(500))
    redis_client.zadd(keys("delayed"), dict.fromkeys(redis_client.zrange(keys("delayed"), 0, -1), 1))
    claims, presence = Claims(redis_client, keys, "w1", 60), Presence(redis_client, keys, "w1")

    beat = Heartbeat(claims, ActiveRuns(), presence, lambda _: None)
    beat.start()
    beat.close()

    assert redis_client.zcard(keys("delayed")) == 0
