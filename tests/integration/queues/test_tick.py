"""What every worker does about once a second: rescue, expire, fill the window, send again what was lost."""

import time

from scriptfleet import Client, State
from scriptfleet.queues.claims import LOSSES_ALLOWED
from scriptfleet.queues.client import Broker
from scriptfleet.queues.fleet import FleetView, Presence, SignOfLife
from tests.integration.queues.conftest import FakeWorker

WINDOW = 16


def listed(broker: Broker, queue: str = "default") -> int:
    return int(broker.redis.llen(broker.keys("celery", queue)))


def test_a_run_whose_lease_ran_out_goes_back_to_the_queue(client: Client, worker: FakeWorker) -> None:
    job = client.submit_shell("true")
    worker.lose(worker.claim(job.id))

    assert worker.tick()[2] == 1
    assert job.state() is State.QUEUED
    again = worker.claim(job.id, "run-2")
    assert again.attempt == 1
    assert job.facts()["losses"] == 1


def test_a_job_that_lost_its_worker_goes_before_those_that_came_after_it(
    client: Client, worker: FakeWorker, broker: Broker
) -> None:
    jobs = [client.submit_shell("true") for _ in range(WINDOW + 3)]
    # Nothing more is handed to Celery: who is first in line stays there.
    broker.redis.set(broker.keys("window", "default"), 1)
    for run_id in ("run-0", "run-1"):
        worker.lose(worker.claim(jobs[0].id, run_id))
        worker.tick()

    first = worker.claims.claim_next("default", "run-2")
    assert first is not None
    assert first.job_id == jobs[0].id


def test_a_lease_that_holds_is_left_alone(client: Client, worker: FakeWorker) -> None:
    job = client.submit_shell("true")
    worker.claim(job.id)

    assert worker.tick() == [0, 0, 0, 0, -1]
    assert job.state() is State.RUNNING


def test_a_job_whose_workers_are_lost_too_often_is_given_up(client: Client, worker: FakeWorker) -> None:
    job = client.submit_shell("true")
    for number in range(LOSSES_ALLOWED + 1):
        assert job.state() is State.QUEUED
        worker.lose(worker.claim(job.id, f"run-{number}"))
        worker.tick()

    assert job.state() is State.LOST
    assert "too often" in (job.result(1).reason or "")


def test_a_job_that_was_to_be_cancelled_is_not_rescued(client: Client, worker: FakeWorker) -> None:
    job = client.submit_shell("true")
    claim = worker.claim(job.id)
    job.cancel()
    worker.lose(claim)
    worker.tick()

    assert job.state() is State.CANCELLED


def test_waiting_jobs_expire_without_a_claim(client: Client, worker: FakeWorker) -> None:
    queued = client.submit_shell("true", expires=time.time() - 1)
    delayed = client.submit_shell("true", not_before=time.time() + 60, expires=time.time() + 61)
    client.broker.redis.zadd(client.broker.keys("expiring"), {delayed.id: 1})

    assert worker.tick()[1] == 2
    assert (queued.state(), delayed.state()) == (State.EXPIRED, State.EXPIRED)


def test_a_running_job_does_not_expire(client: Client, worker: FakeWorker) -> None:
    job = client.submit_shell("true", expires=time.time() + 3600)
    worker.claim(job.id)
    client.broker.redis.zadd(client.broker.keys("expiring"), {job.id: 1})

    assert worker.tick()[1] == 0
    assert job.state() is State.RUNNING


def test_only_a_window_of_the_waiting_jobs_is_with_celery(client: Client, worker: FakeWorker, broker: Broker) -> None:
    jobs = [client.submit_shell("true") for _ in range(100)]
    depth = FleetView(broker.redis, broker.keys).queues()["default"]

    assert listed(broker) == WINDOW
    assert (depth.ready, depth.admitted, depth.waiting) == (100 - WINDOW, WINDOW, 100)
    worker.claim(jobs[0].id)
    assert listed(broker) == WINDOW + 1


def test_the_window_follows_the_slots_of_the_workers(client: Client, worker: FakeWorker, broker: Broker) -> None:
    Presence(broker.redis, broker.keys, "w1").tell(SignOfLife("host", 20, 0, ["default"], "0.1"))
    Presence(broker.redis, broker.keys, "w2").tell(SignOfLife("host", 5, 0, ["default", "gpu"], "0.1"))
    for _ in range(100):
        client.submit_shell("true")
    worker.tick()

    assert listed(broker) == 50


def test_a_message_that_the_server_lost_is_sent_again(client: Client, worker: FakeWorker, broker: Broker) -> None:
    Presence(broker.redis, broker.keys, "w1").tell(SignOfLife("host", 4, 0, ["default"], "0.1"))
    lost, kept = client.submit_shell("true"), client.submit_shell("true")
    assert lost.id.encode() in broker.redis.rpop(broker.keys("celery", "default"))

    assert worker.tick(doubt_ms=0)[3] == 1
    messages = broker.redis.lrange(broker.keys("celery", "default"), 0, -1)
    assert sorted(next(one.id for one in (lost, kept) if one.id.encode() in text) for text in messages) == sorted(
        [lost.id, kept.id]
    )


def test_a_message_that_is_only_young_is_not_sent_again(client: Client, worker: FakeWorker, broker: Broker) -> None:
    Presence(broker.redis, broker.keys, "w1").tell(SignOfLife("host", 4, 0, ["default"], "0.1"))
    client.submit_shell("true")
    broker.redis.rpop(broker.keys("celery", "default"))

    assert worker.tick()[3] == 0


def order_of_messages(broker: Broker, names: dict[str, str]) -> list[str]:
    messages = reversed(broker.redis.lrange(broker.keys("celery", "default"), 0, -1))
    return [next(name for job_id, name in names.items() if job_id.encode() in text) for text in messages]


def test_higher_priorities_go_first_and_equal_ones_in_their_order(client: Client, broker: Broker) -> None:
    broker.redis.set(broker.keys("window", "default"), 0)
    names: dict[str, str] = {}
    for number, priority in enumerate((5, 0, 9, 5)):
        names[client.submit_shell("true", priority=priority).id] = f"{priority}-{number}"
        time.sleep(0.002)
    broker.redis.delete(broker.keys("window", "default"))
    FakeWorker(broker).tick()

    assert order_of_messages(broker, names) == ["9-2", "5-0", "5-3", "0-1"]


def test_who_waited_long_enough_goes_before_a_higher_priority(client: Client, broker: Broker) -> None:
    broker.redis.set(broker.keys("window", "default"), 0)
    names = {
        client.submit_shell("true", priority=4).id: "old",
        client.submit_shell("true", priority=5).id: "new",
    }
    old = next(iter(names))
    broker.redis.zincrby(broker.keys("ready", "default"), -11 * 60_000, old)
    broker.redis.delete(broker.keys("window", "default"))
    FakeWorker(broker).tick()

    assert order_of_messages(broker, names) == ["old", "new"]


def test_the_fleet_is_what_gave_a_sign_of_life(broker: Broker) -> None:
    presence = Presence(broker.redis, broker.keys, "w1")
    presence.tell(SignOfLife("host-1", 4, 2, ["default", "gpu"], "0.1"))
    seen = FleetView(broker.redis, broker.keys).workers()

    assert [(one.name, one.host, one.slots, one.running, one.queues) for one in seen] == [
        ("w1", "host-1", 4, 2, ["default", "gpu"])
    ]
    presence.leave()
    assert FleetView(broker.redis, broker.keys).workers() == []


def test_a_queue_tells_what_stands_in_it(client: Client, worker: FakeWorker, broker: Broker) -> None:
    client.submit_shell("true", not_before=time.time() + 60, queue="gpu")
    worker.claim(client.submit_shell("true", queue="gpu").id)
    client.submit_shell("true", queue="gpu")
    depth = FleetView(broker.redis, broker.keys).queues()["gpu"]

    assert (depth.waiting, depth.running, depth.delayed) == (1, 1, 1)


def test_messages_of_jobs_that_were_cancelled_do_not_pile_up(
    client: Client, worker: FakeWorker, broker: Broker
) -> None:
    for _ in range(5):
        for job in [client.submit_shell("true") for _ in range(WINDOW)]:
            job.cancel()

    assert listed(broker) == 2 * WINDOW
    last = client.submit_shell("true")
    assert worker.claims.claim_next("default", "run-1").job_id == last.id  # type: ignore[union-attr]


def test_a_job_that_was_tried_once_still_expires(client: Client, worker: FakeWorker, broker: Broker) -> None:
    for again in (State.DELAYED, State.QUEUED):
        job = client.submit_shell("true", expires=time.time() + 3600)
        worker.finish(worker.claim(job.id), again, delay=60.0)
        assert broker.redis.zscore(broker.keys("expiring"), job.id) is not None
        broker.redis.zadd(broker.keys("expiring"), {job.id: 1})

        assert worker.tick()[1] == 1
        assert job.state() is State.EXPIRED
