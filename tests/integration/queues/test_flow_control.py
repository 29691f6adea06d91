"""What goes next is decided by the server for the whole fleet: limits and rates by key, shares of groups, pauses."""

import itertools
import json
import uuid
from collections import Counter
from typing import Any

import pytest

from scriptfleet import Client, State
from scriptfleet.queues.claims import Claim
from scriptfleet.queues.client import Broker
from scriptfleet.queues.drafts import of_command
from scriptfleet.queues.fleet import FleetView, Presence, QueueDepth, SignOfLife
from scriptfleet.queues.job_handle import Job
from scriptfleet.queues.queue_control import QueueControl
from tests.eventually import eventually
from tests.integration.queues.conftest import FakeWorker
from tests.integration.queues.lane_books import LaneBooks


def serve(broker: Broker, slots: int = 8, queues: tuple[str, ...] = ("default",)) -> None:
    """Let a worker be alive, and the queues have its window."""
    Presence(broker.redis, broker.keys, "w1@host").tell(SignOfLife("host", slots, 0, list(queues), "0.1"))
    FakeWorker(broker).tick()


_NUMBERS = itertools.count()


def submit(client: Client, count: int, **options: Any) -> list[Job]:
    """Submit jobs whose ids rise: those of one millisecond go in the order of their ids."""
    ids = [str(uuid.UUID(int=next(_NUMBERS))) for _ in range(count)]
    return client.submit_many([of_command("true", **options) for _ in range(count)], job_ids=ids)


def with_celery(broker: Broker, queue: str = "default") -> list[str]:
    """Give the ids of the jobs whose messages are with Celery, those first that go first."""
    texts = reversed(broker.redis.lrange(broker.keys("celery", queue), 0, -1))
    return [json.loads(text)["headers"]["id"] for text in texts]


def depth(broker: Broker, queue: str = "default") -> QueueDepth:
    return FleetView(broker.redis, broker.keys).queues()[queue]


def traces(broker: Broker) -> set[str]:
    """Give the keys of flow control that are there, beside those that every queue has."""
    families = ("ready:", "open:", "groups:", "parked", "lanes:", "held:", "placed:", "admitted:", "rates_due")
    names = {key.decode().removeprefix(broker.keys.prefix) for key in broker.redis.keys(broker.keys("*"))}
    return {name for name in names if name.startswith(families)}


def test_no_more_of_a_key_are_handed_on_than_its_limit(client: Client, broker: Broker, worker: FakeWorker) -> None:
    serve(broker)
    jobs = submit(client, 10, concurrency_key="db", concurrency_limit=2)
    plain = submit(client, 1)[0]

    assert with_celery(broker) == [jobs[0].id, jobs[1].id, plain.id]
    first = worker.claim(jobs[0].id, "r0")
    assert worker.claims.claim_next("default", "r") is None
    worker.finish(first)

    assert with_celery(broker)[-1] == jobs[2].id
    assert (depth(broker).ready, depth(broker).admitted) == (7, 3)


def test_a_key_holds_over_queues_and_whoever_frees_it_wakes_the_others(
    client: Client, broker: Broker, worker: FakeWorker
) -> None:
    serve(broker, queues=("a", "b"))
    here, there = submit(client, 2, queue="a", concurrency_key="db", concurrency_limit=1)
    elsewhere = submit(client, 1, queue="b", concurrency_key="db", concurrency_limit=1)[0]

    assert (with_celery(broker, "a"), with_celery(broker, "b")) == ([here.id], [])
    worker.finish(worker.claim(here.id))
    waiting = {there.id, elsewhere.id}
    handed_on = (set(with_celery(broker, "a")) | set(with_celery(broker, "b"))) & waiting
    assert len(handed_on) == 1
    next_one = handed_on.pop()
    worker.finish(worker.claim(next_one, "r2"))
    assert set(with_celery(broker, "a")) | set(with_celery(broker, "b")) >= waiting


@pytest.mark.parametrize("end", ["finish", "retry", "give back", "lose", "cancel"])
def test_a_slot_of_a_key_is_freed_however_a_run_ends(
    client: Client, broker: Broker, worker: FakeWorker, end: str
) -> None:
    serve(broker)
    first, second = submit(client, 2, concurrency_key="db", concurrency_limit=1)
    claim = worker.claim(first.id)
    ways = {
        "finish": lambda: worker.finish(claim),
        "retry": lambda: worker.finish(claim, State.DELAYED, delay=60.0),
        "give back": lambda: (worker.finish(claim, State.QUEUED), first.cancel()),
        "lose": lambda: (worker.lose(claim), worker.tick(), first.cancel()),
        "cancel": lambda: (first.cancel(), worker.finish(claim, State.CANCELLED)),
    }
    ways[end]()

    assert second.id in with_celery(broker)
    worker.finish(worker.claim(second.id, "r2"))
    assert server_set(broker, "held:c:db") == set()


def server_set(broker: Broker, name: str) -> set[str]:
    return {member.decode() for member in broker.redis.smembers(broker.keys.prefix + name)}


def test_a_slot_is_freed_when_a_job_is_cancelled_or_expires_before_its_run(
    client: Client, broker: Broker, worker: FakeWorker
) -> None:
    serve(broker)
    jobs = submit(client, 3, concurrency_key="db", concurrency_limit=1)
    jobs[0].cancel()
    assert server_set(broker, "held:c:db") == {jobs[1].id}
    broker.redis.zadd(broker.keys("expiring"), {jobs[1].id: 1})
    worker.tick()

    assert server_set(broker, "held:c:db") == {jobs[2].id}


@pytest.mark.parametrize("is_handed_on", [True, False])
def test_a_slot_is_freed_of_a_job_that_an_older_client_has_cancelled(
    client: Client, broker: Broker, worker: FakeWorker, is_handed_on: bool
) -> None:
    """Older scripts end it, and know nothing of the lane that it stands in."""
    serve(broker)
    ended, other = submit(client, 2, concurrency_key="db", concurrency_limit=1)
    if not is_handed_on:
        QueueControl(broker, "default").pause()
    broker.redis.hset(broker.keys("job", ended.id), "state", "cancelled")
    if not is_handed_on:
        broker.redis.hdel(broker.keys("queue", "default"), "paused")

    if is_handed_on:
        worker.tick(doubt_ms=0)
        assert other.id in with_celery(broker)
    else:
        claim = worker.claims.claim_next("default", "r")
        assert claim
        assert claim.job_id == other.id
    assert server_set(broker, "held:c:db") == {other.id}


def test_the_limit_submitted_last_holds(client: Client, broker: Broker, worker: FakeWorker) -> None:
    serve(broker)
    submit(client, 5, concurrency_key="db", concurrency_limit=1)
    assert len(with_celery(broker)) == 1
    submit(client, 1, concurrency_key="db", concurrency_limit=4)
    assert len(with_celery(broker)) == 4
    submit(client, 1, concurrency_key="db", concurrency_limit=2)
    for job_id in with_celery(broker)[:3]:
        worker.finish(worker.claim(job_id, f"run-{job_id}"))

    assert len(server_set(broker, "held:c:db")) == 2


def test_a_limit_that_the_server_forgot_is_told_by_the_jobs_themselves(client: Client, broker: Broker) -> None:
    submit(client, 5, concurrency_key="db", concurrency_limit=2)
    broker.redis.delete(broker.keys("bounds", "c:db"))
    serve(broker)

    assert len(with_celery(broker)) == 2
    assert broker.redis.get(broker.keys("bounds", "c:db")) == b"2"


def test_jobs_with_a_key_stay_in_line_where_no_worker_lives_and_go_back_there_when_the_last_is_gone(
    client: Client, broker: Broker, worker: FakeWorker
) -> None:
    submit(client, 3, queue="idle", concurrency_key="db", concurrency_limit=1)
    assert with_celery(broker, "idle") == []
    serve(broker, queues=("idle",))
    assert len(with_celery(broker, "idle")) == 1
    Presence(broker.redis, broker.keys, "w1@host").leave()
    worker.tick()

    assert server_set(broker, "held:c:db") == set()
    serve(broker, queues=("busy",))
    job = submit(client, 1, queue="busy", concurrency_key="db", concurrency_limit=1)[0]
    assert with_celery(broker, "busy") == [job.id]


def test_an_old_message_gives_no_way_round_a_limit(client: Client, broker: Broker, worker: FakeWorker) -> None:
    serve(broker)
    jobs = submit(client, 2, concurrency_key="db", concurrency_limit=1)

    assert worker.claims.claim(jobs[1].id, "r") == "waits"
    assert isinstance(worker.claims.claim(jobs[0].id, "r0"), Claim)
    assert worker.claims.claim(jobs[1].id, "r") == "waits"


def test_a_run_that_is_put_back_after_a_wipe_holds_its_key_again(
    client: Client, broker: Broker, worker: FakeWorker
) -> None:
    serve(broker)
    claim = worker.claim(submit(client, 1, concurrency_key="db", concurrency_limit=1)[0].id)
    broker.redis.flushall()
    assert worker.claims.reassert(claim, 15.0)
    serve(broker)
    other = submit(client, 1, concurrency_key="db", concurrency_limit=1)[0]

    assert with_celery(broker) == []
    worker.finish(claim)
    assert with_celery(broker) == [other.id]


@pytest.mark.parametrize(
    "asked",
    [
        {"concurrency_key": "db", "concurrency_limit": 2},
        {"rate_key": "api", "rate_limit": "2/1h"},
        {"requires": {"zone": "a"}},
    ],
)
def test_what_jobs_held_whose_runs_an_older_version_has_ended_is_free_again_soon(
    client: Client, broker: Broker, worker: FakeWorker, asked: dict[str, Any]
) -> None:
    """Its scripts know of no keys and places, and give nothing back."""
    sign = SignOfLife("host", 1, 0, ["default"], "0.1", labels={"zone": "a"})
    presence = Presence(broker.redis, broker.keys, "w1@host")
    presence.tell(sign)
    worker.tick()
    held, other = submit(client, 2, **asked), submit(client, 1, **asked)[0]
    first_in = {broker.redis.zscore(broker.keys("admitted", "default"), job.id) for job in held}
    assert None not in first_in
    assert broker.redis.zscore(broker.keys("admitted", "default"), other.id) is None
    for job in held:
        broker.redis.zrem(broker.keys("admitted", "default"), job.id)
        broker.redis.hset(broker.keys("job", job.id), "state", "succeeded")

    def is_handed_on() -> bool:
        presence.tell(sign)
        worker.tick()
        return broker.redis.zscore(broker.keys("admitted", "default"), other.id) is not None

    eventually(is_handed_on)
    LaneBooks(broker).check()


def test_a_rate_lets_so_many_start_within_its_window_and_then_more(
    client: Client, broker: Broker, worker: FakeWorker
) -> None:
    serve(broker)
    jobs = submit(client, 7, rate_key="api", rate_limit="3/500ms")
    started: list[float] = []

    def run_what_is_there() -> bool:
        for job_id in with_celery(broker):
            claim = worker.claims.claim(job_id, f"run-{job_id}")
            if isinstance(claim, Claim):
                started.append(client.job(job_id).facts()["started_at"])
                worker.finish(claim)
        worker.tick()
        return len(started) == len(jobs)

    run_what_is_there()
    assert len(started) == 3
    eventually(run_what_is_there)
    assert all(later - earlier >= 0.5 for earlier, later in zip(started, started[3:], strict=False))


def test_a_rate_counts_starts_and_not_what_waits_with_celery(
    client: Client, broker: Broker, worker: FakeWorker
) -> None:
    serve(broker)
    jobs = submit(client, 3, rate_key="api", rate_limit="1/60s")
    assert with_celery(broker) == [jobs[0].id]
    jobs[0].cancel()
    assert with_celery(broker)[-1] == jobs[1].id
    worker.finish(worker.claim(jobs[1].id))

    assert with_celery(broker)[-1] == jobs[1].id
    assert jobs[2].state() is State.QUEUED


def test_a_group_of_ten_is_not_stuck_behind_one_of_thousands(
    client: Client, broker: Broker, worker: FakeWorker
) -> None:
    submit(client, 2_000, group="big")
    small = {job.id for job in submit(client, 10, group="small")}
    serve(broker, slots=8)
    order = [claim.job_id for claim in (worker.claims.claim_next("default", f"r{n}") for n in range(40)) if claim]

    seen = [number for number, job_id in enumerate(with_celery(broker) + order) if job_id in small]
    assert len(seen) == 10
    assert max(seen) < 40


def test_groups_take_turns_and_one_that_comes_back_gains_nothing(client: Client, worker: FakeWorker) -> None:
    client.broker.redis.set(client.broker.keys("window", "default"), 0)
    for group in ("a", "b"):
        submit(client, 30, group=group)
    lone = [submit(client, 1, group="c")[0].id]
    served: Counter[str] = Counter()
    for number in range(31):
        claim = worker.claims.claim_next("default", f"r{number}")
        assert claim is not None
        served[json.loads(claim.spec)["group"]] += 1
        if claim.job_id in lone:
            lone.append(submit(client, 1, group="c")[0].id)

    assert max(served.values()) - min(served.values()) <= 1


def test_priorities_order_the_jobs_of_a_group_over_its_lanes(client: Client, worker: FakeWorker) -> None:
    client.broker.redis.set(client.broker.keys("window", "default"), 0)
    keyed = {"concurrency_key": "k", "concurrency_limit": 9}
    low, high, middle = (
        client.submit_shell("true", priority=1),
        client.submit_shell("true", priority=9, concurrency_key="k", concurrency_limit=9),
        client.submit_shell("true", priority=5, rate_key="r", rate_limit="9/1s"),
    )
    last = client.submit_shell("true", priority=0, concurrency_key=keyed["concurrency_key"], concurrency_limit=9)
    order = [worker.claims.claim_next("default", f"r{number}") for number in range(4)]

    assert [claim.job_id for claim in order if claim] == [high.id, middle.id, low.id, last.id]


def test_all_that_was_asked_for_leaves_no_trace_once_all_jobs_have_ended(
    client: Client, broker: Broker, worker: FakeWorker
) -> None:
    serve(broker)
    for number in range(12):
        submit(client, 5, group=f"g{number % 3}", concurrency_key=f"k{number % 2}", concurrency_limit=2)
        submit(client, 5, rate_key="r", rate_limit="1000/20ms")
        submit(client, 5)
    ended = 0
    while ended < 180:
        for job_id in with_celery(broker):
            broker.redis.rpop(broker.keys("celery", "default"))
            claim = worker.claims.claim(job_id, f"run-{job_id}")
            if isinstance(claim, Claim):
                worker.finish(claim)
                ended += 1
    worker.tick()

    eventually(lambda: traces(broker) == set())


def test_room_is_not_lost_with_the_lane_that_it_was_offered_to(
    client: Client, broker: Broker, worker: FakeWorker
) -> None:
    """The window is full, so the lane that is let through first still stands in line when its last job is cancelled."""
    serve(broker)
    key = {"concurrency_key": "db", "concurrency_limit": 1}
    holder, offered = submit(client, 2, group="g", **key)
    other = submit(client, 1, **key)[0]
    holds = worker.claim(holder.id)
    assert worker.claims.claim_next("default", "r") is None
    broker.redis.set(broker.keys("window", "default"), 1)
    plain = submit(client, 1)[0]
    worker.finish(holds)
    offered.cancel()
    LaneBooks(broker).check()
    broker.redis.set(broker.keys("window", "default"), 2)
    worker.claim(plain.id, "r2")

    assert with_celery(broker)[-1] == other.id


def test_jobs_that_may_go_are_found_behind_hundreds_of_lanes_that_may_not(client: Client, broker: Broker) -> None:
    serve(broker)
    keyed = {"concurrency_key": "db", "concurrency_limit": 1}
    client.submit_many([of_command("true", group=f"g{number:03}", **keyed) for number in range(400)])  # type: ignore[arg-type]
    job = submit(client, 1, group="z")[0]

    assert job.id in with_celery(broker)
    LaneBooks(broker).check()


def test_submits_claims_and_ticks_take_the_server_as_many_steps_with_many_jobs_in_line_as_with_few(
    client: Client, broker: Broker
) -> None:
    """Counted by the server itself: calls of its commands, also those that scripts make."""
    serve(broker, queues=("few", "many"))
    wishes: dict[str, Any] = {"group": "g", "concurrency_key": "k", "concurrency_limit": 1_000_000}
    submit(client, 100, queue="few", **wishes)
    for _ in range(10):
        submit(client, 1_000, queue="many", **wishes)

    assert steps_of_a_round(client, broker, "many") == steps_of_a_round(client, broker, "few")


def steps_of_a_round(client: Client, broker: Broker, queue: str) -> dict[str, int]:
    worker = FakeWorker(broker)
    # Kept for a second, so that only some submits look how full the server is.
    broker.redis.delete(broker.keys("fullness"))
    broker.redis.config_resetstat()
    submit(client, 5, queue=queue, group="g", concurrency_key="k", concurrency_limit=1_000_000)
    for job_id in with_celery(broker, queue)[:5]:
        worker.finish(worker.claim(job_id, f"run-{job_id}"))
    claim = worker.claims.claim_next(queue, f"run-{queue}")
    assert claim
    worker.lose(claim)
    worker.tick()
    said = broker.redis.info("commandstats")
    # A script's text is sent to the server once.
    return {name: one["calls"] for name, one in said.items() if name != "cmdstat_eval"}
