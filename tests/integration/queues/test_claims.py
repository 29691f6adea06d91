"""A claim is the right to run a job: one holder, told why not, and what a stale holder says changes nothing."""

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from scriptfleet import Client, State
from scriptfleet.domain.event import EventType
from scriptfleet.queues.claims import LOSSES_ALLOWED, Claim, Ending, Finish, Renewal
from scriptfleet.queues.client import Broker
from scriptfleet.queues.drafts import of_command
from scriptfleet.queues.events import EventReader
from scriptfleet.queues.orders import Order, Verb
from tests.integration.queues.conftest import FakeWorker, record


def renew(worker: FakeWorker, claim: Claim, reading: str = "") -> str:
    return worker.claims.renew([Renewal(claim.job_id, claim.run_id, 15.0, reading)])[claim.run_id]


def test_one_of_twenty_racing_workers_gets_the_job(client: Client, worker: FakeWorker) -> None:
    job = client.submit_shell("true")
    start = threading.Barrier(20)

    def race(number: int) -> Claim | str:
        start.wait(10)
        return worker.claims.claim(job.id, f"run-{number}")

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(race, range(20)))

    assert sorted(isinstance(answer, Claim) for answer in answers) == [False] * 19 + [True]
    assert {answer for answer in answers if isinstance(answer, str)} == {"running"}


def test_a_claim_brings_the_spec_and_starts_the_run(client: Client, worker: FakeWorker) -> None:
    job = client.submit_shell("echo hi")
    claim = worker.claim(job.id)

    facts = job.facts()
    assert '"command":"echo hi"' in claim.spec
    assert (claim.attempt, facts["attempt"], facts["run_id"], facts["worker"]) == (1, 1, "run-1", "worker-1")
    assert job.state() is State.RUNNING
    assert 0 <= claim.waited_seconds < 10


def test_a_claim_tells_why_not(client: Client, worker: FakeWorker) -> None:
    waiting = client.submit_shell("true", not_before=time.time() + 60)
    done = client.submit_shell("true")
    worker.finish(worker.claim(done.id))

    assert worker.claims.claim(waiting.id, "r") == "delayed"
    assert worker.claims.claim(done.id, "r") == "succeeded"
    assert worker.claims.claim("no-such-job", "r") == "gone"


def test_a_job_that_expired_is_not_started(client: Client, worker: FakeWorker) -> None:
    job = client.submit_shell("true", expires=time.time() - 1)

    assert worker.claims.claim(job.id, "r") == "expired"
    assert job.state() is State.EXPIRED
    assert job.result(1).run_id is None


def test_of_many_that_expired_at_once_one_look_for_the_next_job_ends_a_few(
    client: Client, worker: FakeWorker, broker: Broker
) -> None:
    """The others are the ticks' affair: no call is to keep the server from everybody else."""
    past = time.time() - 1
    client.submit_many([of_command("true", expires=past) for _ in range(300)])
    last = client.submit_shell("true")

    def left() -> int:
        return int(broker.redis.zcard(broker.keys("ready", "default")))

    before = left()
    assert worker.claims.claim_next("default", "r") is None
    assert 0 < before - left() <= 50
    while (claim := worker.claims.claim_next("default", "r")) is None:
        assert left()
    assert claim.job_id == last.id


def test_finishing_twice_is_harmless(client: Client, worker: FakeWorker, broker: Broker) -> None:
    job = client.submit_shell("true")
    claim = worker.claim(job.id)

    assert worker.finish(claim)
    events = broker.redis.xlen(broker.keys("events"))
    assert worker.finish(claim)
    assert broker.redis.xlen(broker.keys("events")) == events
    assert job.state() is State.SUCCEEDED


def test_a_stale_run_is_stored_and_does_not_change_the_job(client: Client, worker: FakeWorker, broker: Broker) -> None:
    job = client.submit_shell("true")
    stale = worker.claim(job.id)
    worker.lose(stale)
    worker.tick()
    fresh = worker.claim(job.id, "run-2")

    assert not worker.finish(stale, State.FAILED)
    assert job.state() is State.RUNNING
    assert worker.finish(fresh)
    told = [event for event in EventReader(broker.redis, broker.keys, "c").read() if event.type is EventType.FINISHED]
    assert [(event.data["run_id"], event.data["stale"]) for event in told] == [("run-1", True), ("run-2", False)]


def test_a_run_that_is_to_be_retried_waits_and_comes_back(client: Client, worker: FakeWorker) -> None:
    job = client.submit_shell("false")
    worker.finish(worker.claim(job.id), State.DELAYED, delay=0.0)
    assert job.state() is State.DELAYED

    assert worker.tick()[0] == 1
    again = worker.claim(job.id, "run-2")
    assert again.attempt == 2


def test_a_retry_that_is_not_due_stays_where_it_is(client: Client, worker: FakeWorker) -> None:
    job = client.submit_shell("false")
    worker.finish(worker.claim(job.id), State.DELAYED, delay=60.0)

    assert worker.tick()[0] == 0
    assert job.state() is State.DELAYED


def test_a_run_that_is_given_back_does_not_count(client: Client, worker: FakeWorker) -> None:
    job = client.submit_shell("true")
    worker.finish(worker.claim(job.id), State.QUEUED)

    assert job.state() is State.QUEUED
    assert worker.claim(job.id, "run-2").attempt == 1


def test_a_lease_is_kept_while_its_claim_holds(client: Client, worker: FakeWorker, broker: Broker) -> None:
    claim = worker.claim(client.submit_shell("true").id)

    assert renew(worker, claim, '{"cpu":1}') == "kept"
    assert broker.redis.hget(broker.keys("live"), claim.job_id) == b'{"cpu":1}'


def test_a_renewal_tells_of_a_cancel_and_of_a_loss(client: Client, worker: FakeWorker) -> None:
    wanted_gone, ended = client.submit_shell("true"), client.submit_shell("true")
    first, second = worker.claim(wanted_gone.id, "r1"), worker.claim(ended.id, "r2")
    wanted_gone.cancel()
    worker.finish(second)

    assert renew(worker, first) == "cancel"
    assert renew(worker, second) == "lost"
    assert worker.claims.renew([Renewal("no-such-job", "r3", 15.0)]) == {"r3": "gone"}


def test_a_finished_run_leaves_no_reading_behind(client: Client, worker: FakeWorker, broker: Broker) -> None:
    claim = worker.claim(client.submit_shell("true").id)
    renew(worker, claim, "{}")
    worker.finish(claim)

    assert broker.redis.hlen(broker.keys("live")) == 0


def test_cancelling_a_waiting_job_ends_it_at_once(client: Client, worker: FakeWorker) -> None:
    queued, delayed = client.submit_shell("true"), client.submit_shell("true", not_before=time.time() + 60)

    assert queued.cancel()
    assert delayed.cancel()
    assert (queued.state(), delayed.state()) == (State.CANCELLED, State.CANCELLED)
    assert worker.claims.claim(queued.id, "r") == "cancelled"


def test_cancelling_a_running_job_asks_its_worker(client: Client, worker: FakeWorker, broker: Broker) -> None:
    job = client.submit_shell("true")
    worker.claim(job.id)
    with broker.redis.pubsub(ignore_subscribe_messages=True) as orders:
        orders.subscribe(broker.keys("control"))
        orders.get_message(timeout=20)

        assert job.cancel()

        order = Order.read(orders.get_message(timeout=20)["data"], "")
        assert (order.verb, order.target) == (Verb.STOP, job.id)
    assert job.state() is State.RUNNING
    assert job.facts()["is_cancel_asked"]


def test_cancelling_what_has_ended_changes_nothing(client: Client, worker: FakeWorker) -> None:
    job = client.submit_shell("true")
    worker.finish(worker.claim(job.id))

    assert not job.cancel()
    assert job.state() is State.SUCCEEDED
    assert not client.job("no-such-job").cancel()


def test_a_job_cancelled_while_it_ran_is_not_tried_again(client: Client, worker: FakeWorker) -> None:
    for again in (State.DELAYED, State.QUEUED):
        job = client.submit_shell("false")
        claim = worker.claim(job.id)
        job.cancel()

        assert worker.finish(claim, again)
        assert job.state() is State.CANCELLED


def test_an_ended_job_and_its_key_leave_the_broker_after_a_while(client: Client, worker: FakeWorker) -> None:
    job = client.submit_shell("true", idempotency_key="k")
    worker.finish(worker.claim(job.id))

    redis, keys = client.broker.redis, client.broker.keys
    assert 0 < redis.pttl(keys("job", job.id)) <= 60_000
    assert 0 < redis.pttl(keys("idem", "k")) <= 60_000


def test_a_run_that_a_wiped_server_has_forgotten_is_put_back_and_ends_as_usual(
    client: Client, worker: FakeWorker
) -> None:
    job = client.submit_shell("true", name="kept.sh", queue="gpu", priority=7)
    claim = worker.claim(job.id)
    client.broker.redis.flushall()
    assert worker.claims.renew([Renewal(job.id, claim.run_id, 15.0)]) == {claim.run_id: "gone"}
    assert worker.claims.finish(Ending(job.id, claim.run_id, "{}", State.SUCCEEDED)) is Finish.GONE

    assert worker.claims.reassert(claim, 15.0)
    assert worker.claims.reassert(claim, 15.0)

    facts = job.facts()
    assert (facts["state"], facts["name"], facts["queue"], facts["priority"]) == (State.RUNNING, "kept.sh", "gpu", 7)
    assert worker.finish(claim)
    assert job.state() is State.SUCCEEDED


def test_a_claim_is_not_put_back_over_something_newer(client: Client, worker: FakeWorker) -> None:
    draft = of_command("true")
    claim = worker.claim(client.submit_draft(draft, "1b4e28ba-2fa1-11d2-883f-0016d3cca427").id)
    client.broker.redis.flushall()
    job = client.submit_draft(draft, claim.job_id)

    assert not worker.claims.reassert(claim, 15.0)

    assert job.state() is State.QUEUED
    worker.claim(job.id, "run-2")
    assert not worker.finish(claim)


def test_a_late_report_of_a_forgotten_job_is_told_and_brings_nothing_back(
    client: Client, worker: FakeWorker, broker: Broker
) -> None:
    claim = worker.claim(client.submit_shell("true").id)
    broker.redis.flushall()
    text = record(claim, State.SUCCEEDED)

    ended = worker.claims.finish(Ending(claim.job_id, claim.run_id, text, State.SUCCEEDED, is_late=True))

    assert ended is Finish.STALE
    told = EventReader(broker.redis, broker.keys, "c").read()
    assert [(event.type, event.data["run_id"], event.data["stale"]) for event in told] == [
        (EventType.FINISHED, "run-1", True)
    ]
    assert not broker.redis.exists(broker.keys("job", claim.job_id))


def test_a_late_report_of_a_job_that_is_there_counts_as_any(client: Client, worker: FakeWorker) -> None:
    job = client.submit_shell("true")
    claim = worker.claim(job.id)
    text = record(claim, State.SUCCEEDED)

    assert worker.claims.finish(Ending(job.id, "run-1", text, State.SUCCEEDED, is_late=True)) is Finish.DONE
    assert job.state() is State.SUCCEEDED


def forget_claim(broker: Broker, claim: Claim) -> None:
    """Bring the server back to before the claim, as one that lost the last second of its append-only file."""
    job, keys = broker.keys("job", claim.job_id), broker.keys
    broker.redis.hdel(job, "claim", "worker", "started")
    broker.redis.hincrby(job, "rev", -1)
    broker.redis.hset(job, mapping={"state": "queued", "attempt": claim.attempt - 1})
    broker.redis.zrem(keys("leases"), claim.job_id)
    broker.redis.srem(keys("running", claim.queue), claim.job_id)
    # Its message had come, so it was with Celery, and held what it asks for.
    broker.redis.zadd(keys("admitted", claim.queue), {claim.job_id: 1})
    if rate_key := json.loads(claim.lane or "{}").get("r"):
        broker.redis.zrem(keys("held", f"r:{rate_key}"), claim.run_id)
        broker.redis.zadd(keys("held", f"r:{rate_key}"), {claim.job_id: "+inf"})


def test_a_living_run_takes_its_job_again_when_the_server_lost_its_claim(
    client: Client, worker: FakeWorker, broker: Broker
) -> None:
    job = client.submit_shell("true")
    claim = worker.claim(job.id)
    forget_claim(broker, claim)
    assert job.state() is State.QUEUED

    assert renew(worker, claim) == "kept"

    facts = job.facts()
    assert (facts["state"], facts["run_id"], facts["worker"]) == (State.RUNNING, "run-1", "worker-1")
    assert facts["attempt"] == claim.attempt
    assert worker.claims.claim(job.id, "run-2") == "running"
    assert worker.claims.claim_next("default", "run-3") is None
    assert worker.finish(claim)


def test_a_run_that_ended_after_the_server_lost_its_claim_ends_its_job(
    client: Client, worker: FakeWorker, broker: Broker
) -> None:
    job = client.submit_shell("true")
    claim = worker.claim(job.id)
    forget_claim(broker, claim)

    assert worker.finish(claim)

    facts = job.facts()
    assert (facts["state"], facts["run_id"], facts["worker"]) == (State.SUCCEEDED, "run-1", "worker-1")
    assert worker.claims.claim(job.id, "run-2") == "succeeded"
    assert worker.claims.claim_next("default", "run-3") is None


def test_a_run_that_was_lost_after_the_server_lost_its_claim_leaves_its_job_to_another(
    client: Client, worker: FakeWorker, broker: Broker
) -> None:
    job = client.submit_shell("true")
    claim = worker.claim(job.id)
    forget_claim(broker, claim)

    assert not worker.finish(claim, State.QUEUED)

    assert worker.claim(job.id, "run-2").attempt == 1


def test_a_run_that_was_rescued_or_has_ended_does_not_take_its_job_again(client: Client, worker: FakeWorker) -> None:
    lost, ended = client.submit_shell("true"), client.submit_shell("true")
    first, second = worker.claim(lost.id), worker.claim(ended.id, "run-2")
    worker.lose(first)
    worker.tick()
    worker.finish(second, State.QUEUED)

    assert (renew(worker, first), renew(worker, second)) == ("lost", "lost")
    assert (worker.finish(first), worker.finish(second, State.FAILED)) == (False, True)
    assert (lost.state(), ended.state()) == (State.QUEUED, State.QUEUED)


def test_what_a_job_was_promised_is_put_back_with_it(client: Client, worker: FakeWorker, broker: Broker) -> None:
    expires = round(time.time()) + 3600
    job = client.submit_code("print(1)", expires=expires, idempotency_key="k")
    worker.lose(worker.claim(job.id))
    worker.tick()
    claim = worker.claim(job.id, "run-2")
    broker.redis.flushall()

    assert worker.claims.reassert(claim, 15.0)

    assert job.facts()["losses"] == 1
    assert broker.redis.hget(broker.keys("job", job.id), "first_start") == str(claim.first_start_ms).encode()
    assert client.submit_code("print(1)", expires=expires, idempotency_key="k").id == job.id
    assert broker.redis.zscore(broker.keys("expiring"), job.id) is None
    worker.finish(claim, State.DELAYED, delay=60.0)
    assert broker.redis.zscore(broker.keys("expiring"), job.id) == expires * 1000


def test_a_run_that_is_given_back_too_often_is_lost_with_a_reason(client: Client, worker: FakeWorker) -> None:
    job = client.submit_shell("true")
    for number in range(LOSSES_ALLOWED + 1):
        claim = worker.claim(job.id, f"run-{number}")
        worker.claims.finish(Ending(job.id, claim.run_id, record(claim, State.LOST), State.QUEUED, is_loss=True))

    assert job.result(1).outcome is State.LOST
    assert "too often" in (job.result(1).reason or "")


def test_a_run_ends_also_where_the_next_job_cannot_be_taken_and_it_is_told_why(
    client: Client, worker: FakeWorker, broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    job = client.submit_shell("true")
    claim = worker.claim(job.id)
    broker.redis.set(broker.keys("groups", "spoilt"), "no set")

    ending = Ending(claim.job_id, claim.run_id, record(claim, State.SUCCEEDED), State.SUCCEEDED)

    assert worker.claims.finish_and_claim(ending, "spoilt", "run-2") == (Finish.DONE, None)
    assert job.state() is State.SUCCEEDED
    assert "next_not_claimed queue=spoilt reason=" in caplog.text
    assert "WRONGTYPE" in caplog.text
