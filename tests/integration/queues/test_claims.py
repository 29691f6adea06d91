"""A claim is the right to run a job: one holder, told why not, and what a stale holder says changes nothing."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

from scriptfleet import Client, State
from scriptfleet.domain.event import EventType
from scriptfleet.queues.claims import Claim, Finish, Renewal
from scriptfleet.queues.client import Broker
from scriptfleet.queues.drafts import of_command
from scriptfleet.queues.events import EventReader
from tests.integration.queues.conftest import FakeWorker


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
        orders.get_message(timeout=2)

        assert job.cancel()

        assert orders.get_message(timeout=2)["data"] == f'{{"stop":"{job.id}"}}'.encode()
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
    assert worker.claims.finish(job.id, claim.run_id, "{}", State.SUCCEEDED) is Finish.GONE

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
    assert not worker.finish(claim)
