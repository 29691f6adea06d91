"""Jobs that ask for labels or memory go to workers that have them, and wait, with a reason, while there are none."""

import json

import pytest

from scriptfleet import Client, State
from scriptfleet.domain.worker_state import WorkerState
from scriptfleet.queues.claims import Claim, Claims
from scriptfleet.queues.client import Broker
from scriptfleet.queues.fleet import Presence, SignOfLife, own_list
from scriptfleet.queues.queue_control import QueueControl
from scriptfleet.queues.waiting import why_waits
from tests.integration.queues.conftest import KEEP_SECONDS, FakeWorker
from tests.integration.queues.lane_books import LaneBooks
from tests.integration.queues.test_flow_control import serve, submit, traces, with_celery

GPU = {"gpu": "a100"}


def offer(
    broker: Broker,
    name: str,
    labels: dict[str, str] | None = None,
    memory_mb: float | None = None,
    slots: int = 2,
    state: WorkerState = WorkerState.READY,
    running: int = 0,
) -> Claims:
    """Let a worker be alive that offers this."""
    sign = SignOfLife(
        *("host", slots, running, ["default"], "0.1"), state=state, labels=labels or {}, memory_free_mb=memory_mb
    )
    Presence(broker.redis, broker.keys, name).tell(sign)
    FakeWorker(broker).tick()
    return Claims(broker.redis, broker.keys, name, KEEP_SECONDS)


def sent_to(broker: Broker, name: str) -> list[str]:
    return with_celery(broker, own_list(name))


def test_a_job_goes_to_a_worker_that_has_its_labels_and_to_no_other(client: Client, broker: Broker) -> None:
    plain, fitting = offer(broker, "w1@a"), offer(broker, "w2@b", {"gpu": "a100", "zone": "eu"})
    job = submit(client, 1, requires=GPU)[0]

    assert (with_celery(broker), sent_to(broker, "w1@a"), sent_to(broker, "w2@b")) == ([], [], [job.id])
    assert plain.claim(job.id, "r") == "placed elsewhere"
    assert isinstance(fitting.claim(job.id, "r1"), Claim)
    LaneBooks(broker).check()


def test_a_job_that_nobody_can_take_waits_and_says_why(client: Client, broker: Broker) -> None:
    job = submit(client, 1, requires=GPU)[0]
    assert why_waits(broker, job.id) == "no worker is alive"
    offer(broker, "w1@a", {"gpu": "t4"})

    assert why_waits(broker, job.id) == "no worker has gpu=a100"
    assert job.state() is State.QUEUED
    late = offer(broker, "w2@b", GPU)
    assert sent_to(broker, "w2@b") == [job.id]
    assert why_waits(broker, job.id) == "it waits for a slot of worker w2@b"
    assert isinstance(late.claim(job.id, "r"), Claim)
    assert why_waits(broker, job.id) is None


def test_others_pass_a_job_that_nobody_can_take(client: Client, broker: Broker) -> None:
    offer(broker, "w1@a")
    submit(client, 3, requires=GPU)
    jobs = submit(client, 2)

    assert with_celery(broker) == [job.id for job in jobs]


def test_memory_is_promised_once_until_the_run_is_over(client: Client, broker: Broker, worker: FakeWorker) -> None:
    claims = offer(broker, "w1@a", memory_mb=10_000.0, slots=4)
    first, second, third = submit(client, 3, needs_memory_mb=4_000)

    assert sent_to(broker, "w1@a") == [first.id, second.id]
    assert why_waits(broker, third.id) == "no worker has 4,000 MiB free: w1@a comes next with 2,000"
    claim = claims.claim(first.id, "r1")
    assert isinstance(claim, Claim)
    assert sent_to(broker, "w1@a") == [first.id, second.id]
    worker.finish(claim)
    assert sent_to(broker, "w1@a") == [first.id, second.id, third.id]


def test_the_emptiest_worker_that_fits_is_chosen(client: Client, broker: Broker) -> None:
    offer(broker, "w1@a", GPU, slots=2, running=2)
    offer(broker, "w2@b", GPU, slots=4, running=1)
    jobs = [submit(client, 1, requires=GPU)[0].id for _ in range(3)]

    assert (sent_to(broker, "w1@a"), sent_to(broker, "w2@b")) == ([], jobs)


@pytest.mark.parametrize("end", ["leave", "die"])
def test_a_job_placed_with_a_worker_that_is_gone_goes_to_another(client: Client, broker: Broker, end: str) -> None:
    offer(broker, "w1@a", GPU)
    job = submit(client, 1, requires=GPU)[0]
    if end == "leave":
        Presence(broker.redis, broker.keys, "w1@a").leave()
    else:
        broker.redis.zadd(broker.keys("workers"), {"w1@a": 1})
    offer(broker, "w2@b", GPU)

    assert sent_to(broker, "w2@b") == [job.id]
    assert not broker.redis.exists(broker.keys("celery", own_list("w1@a")))


def test_a_job_that_waits_for_a_busy_or_cordoned_worker_is_moved_to_one_that_is_free(
    client: Client, broker: Broker, worker: FakeWorker
) -> None:
    offer(broker, "w1@a", GPU, slots=1, running=1)
    jobs = submit(client, 2, requires=GPU)
    assert len(sent_to(broker, "w1@a")) == 2
    offer(broker, "w1@a", GPU, slots=1, running=1, state=WorkerState.CORDONED)
    worker.tick(doubt_ms=0)
    assert sent_to(broker, "w1@a") == []
    assert why_waits(broker, jobs[0].id) == "no worker of queue default takes jobs: each is cordoned"
    offer(broker, "w2@b", GPU)

    assert sorted(sent_to(broker, "w2@b")) == sorted(job.id for job in jobs)


def test_a_message_of_a_placed_job_that_was_lost_is_sent_again(
    client: Client, broker: Broker, worker: FakeWorker
) -> None:
    offer(broker, "w1@a", GPU)
    job = submit(client, 1, requires=GPU)[0]
    broker.redis.delete(broker.keys("celery", own_list("w1@a")))

    assert worker.tick(doubt_ms=0)[3] == 1
    assert sent_to(broker, "w1@a") == [job.id]


def test_a_job_that_an_older_worker_sent_to_nobody_in_particular_finds_its_place(
    client: Client, broker: Broker, worker: FakeWorker
) -> None:
    """Older scripts know of no lanes: they hand on what they have put back in line as they do any job."""
    offer(broker, "w1@a", GPU)
    job = submit(client, 1, requires=GPU)[0]
    message = broker.redis.rpop(broker.keys("celery", own_list("w1@a")))
    broker.redis.lpush(broker.keys("celery", "default"), message)
    broker.redis.hdel(broker.keys("job", job.id), "placed")

    worker.tick(doubt_ms=0)

    assert sent_to(broker, "w1@a") == [job.id]


def test_a_worker_that_goes_on_without_messages_takes_what_fits_it_and_leaves_the_rest(
    client: Client, broker: Broker
) -> None:
    plain, fitting = offer(broker, "w1@a"), offer(broker, "w2@b", GPU)
    broker.redis.set(broker.keys("window", "default"), 0)
    job, other = submit(client, 1, requires=GPU)[0], submit(client, 1)[0]

    first = plain.claim_next("default", "r1")
    second = fitting.claim_next("default", "r2")
    assert first
    assert second
    assert (first.job_id, second.job_id) == (other.id, job.id)
    assert plain.claim_next("default", "r3") is None
    LaneBooks(broker).check()


def test_what_was_placed_is_purged_paused_and_cancelled_like_any(
    client: Client, broker: Broker, worker: FakeWorker
) -> None:
    claims = offer(broker, "w1@a", GPU, memory_mb=1_000.0, slots=2)
    jobs = submit(client, 8, requires=GPU, needs_memory_mb=100, concurrency_key="k", concurrency_limit=3)
    assert len(sent_to(broker, "w1@a")) == 3
    jobs[0].cancel()
    assert len(broker.redis.zrange(broker.keys("placed", "w1@a"), 0, -1)) == 3
    QueueControl(broker, "default").pause()
    assert claims.claim(jobs[1].id, "r") == "paused"
    assert broker.redis.zcard(broker.keys("placed", "w1@a")) == 0
    QueueControl(broker, "default").resume()
    LaneBooks(broker).check()

    assert QueueControl(broker, "default").purge(100) == 7
    assert traces(broker) == set()


def test_a_run_put_back_after_a_wipe_holds_its_memory_again(client: Client, broker: Broker) -> None:
    claims = offer(broker, "w1@a", memory_mb=1_000.0)
    claim = claims.claim(submit(client, 1, needs_memory_mb=600)[0].id, "r1")
    assert isinstance(claim, Claim)
    broker.redis.flushall()
    assert claims.reassert(claim, 15.0)
    offer(broker, "w1@a", memory_mb=1_000.0)
    submit(client, 1, needs_memory_mb=600)

    assert sent_to(broker, "w1@a") == []


def test_why_a_job_waits_is_told_in_the_order_in_which_it_can_be_mended(client: Client, broker: Broker) -> None:
    serve(broker, slots=1)
    keyed = submit(client, 2, concurrency_key="db", concurrency_limit=1)
    rated = submit(client, 2, rate_key="api", rate_limit="1/1h")
    claim = Claims(broker.redis, broker.keys, "w1@host", KEEP_SECONDS).claim(rated[0].id, "r")
    assert isinstance(claim, Claim)
    plain = submit(client, 20)[-1]

    assert why_waits(broker, keyed[1].id) == "concurrency key db is full: 1 of 1 are running or about to"
    said = why_waits(broker, rated[1].id) or ""
    assert said.startswith("rate key api has had its 1 starts in 3600 s: the next starts in 3,")
    assert why_waits(broker, plain.id) == "its turn has not come: 23 jobs wait in queue default for 1 slots"
    assert why_waits(broker, submit(client, 1, queue="other")[0].id) == "no worker serves queue other"
    QueueControl(broker, "default").pause()
    said = why_waits(broker, keyed[1].id) or ""
    assert said == "queue default is paused: `scriptfleet queues resume default` lets it go on"
    assert why_waits(broker, rated[0].id) is None


def test_a_message_says_the_list_that_it_is_in(client: Client, broker: Broker) -> None:
    """Celery puts a message that it could not handle back into the list that the message names."""
    offer(broker, "w1@a", GPU)
    submit(client, 1, requires=GPU)
    message = json.loads(broker.redis.lrange(broker.keys("celery", own_list("w1@a")), 0, -1)[0])

    assert message["properties"]["delivery_info"]["routing_key"] == own_list("w1@a")
