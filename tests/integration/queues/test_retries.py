"""Attempts on a real server: exactly as many as the policy says, whatever is lost meanwhile; what follows each."""

import dataclasses
import json
import random
from collections.abc import Sequence

import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scriptfleet import Client, State
from scriptfleet.domain.job import JobSpec
from scriptfleet.domain.retry import RetryPolicy
from scriptfleet.domain.run import RunRecord
from scriptfleet.domain.usage import Usage
from scriptfleet.queues.claims import Claim, Ending
from scriptfleet.queues.client import Broker
from scriptfleet_workers.run import after
from tests.eventually import eventually
from tests.integration.queues.conftest import FakeWorker

#: How a run may end: outcome, error type, exit code. A loss is a worker that died.
LOSS = (State.LOST, "WorkerLost", None)
ENDS = [
    (State.SUCCEEDED, None, 0),
    (State.FAILED, "ValueError", 1),
    (State.FAILED, "ExitCode", 75),
    (State.TIMED_OUT, "Timeout", 143),
    (State.OUT_OF_MEMORY, "MemoryLimit", 137),
    (State.CANCELLED, "Cancelled", 143),
    LOSS,
]
End = tuple[State, str | None, int | None]


def ended(worker: FakeWorker, claim: Claim, end: End) -> None:
    """End a run as its worker would: the policy in its signed spec says what follows."""
    outcome, error_type, exit_code = end
    usage = Usage(exit_code=exit_code, error_type=error_type, execution_time_seconds=0.0)
    record = RunRecord(claim.run_id, claim.job_id, claim.attempt, "worker-1", "host", outcome, usage, queue=claim.queue)
    spec = JobSpec.from_json(claim.spec).after_out_of_memory(claim.out_of_memory)
    then = after(spec, claim, record)
    worker.claims.finish(
        Ending(
            *(claim.job_id, claim.run_id, json.dumps(record.to_dict()), then.state, 0.0),
            is_loss=then.is_loss,
            queue=then.queue,
            is_out_of_memory=then.is_out_of_memory,
            lane=then.lane,
        )
    )


def server_ms(broker: Broker) -> int:
    seconds, micros = broker.redis.time()
    return int(seconds) * 1000 + int(micros) // 1000


def claimed(worker: FakeWorker, job_id: str, number: int) -> Claim | str:
    worker.tick()
    return worker.claims.claim(job_id, f"run-{number}")


def expected(policy: RetryPolicy, ends: Sequence[End]) -> tuple[State, int]:
    """Tell the end and the number of attempts, from the words of the documentation alone."""
    attempts = losses = 0
    for outcome, error_type, exit_code in ends:
        if outcome is State.LOST:
            losses += 1
            if losses > 5:
                return State.LOST, attempts + 1
            continue
        attempts += 1
        names = {str(outcome), error_type, str(exit_code)}
        is_curable = outcome in {State.FAILED, State.TIMED_OUT, State.OUT_OF_MEMORY}
        has_rule = outcome is State.OUT_OF_MEMORY and policy.has_memory_rule
        is_chosen = has_rule or not policy.retry_on or bool(names & set(policy.retry_on))
        if not is_curable or names & set(policy.skip_on) or not is_chosen or attempts >= policy.max_attempts:
            return outcome, attempts
    return State.QUEUED, attempts


NAMES = st.sampled_from(["ValueError", "75", "failed", "timed_out", "out_of_memory", "MemoryLimit", "KeyError"])


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    ends=st.lists(st.sampled_from(ENDS), min_size=1, max_size=14),
    max_attempts=st.integers(1, 5),
    retry_on=st.lists(NAMES, max_size=2, unique=True),
    skip_on=st.lists(NAMES.filter(lambda name: name != "out_of_memory"), max_size=1),
    has_queue=st.booleans(),
)
def test_a_job_has_exactly_the_attempts_of_its_policy_whatever_is_lost(
    client: Client,
    redis_client: redis.Redis,
    ends: list[End],
    max_attempts: int,
    retry_on: list[str],
    skip_on: list[str],
    has_queue: bool,
) -> None:
    redis_client.flushall()
    worker = FakeWorker(client.broker)
    rule = {"oom_queue": "big"} if has_queue and max_attempts > 1 else {}
    policy = RetryPolicy(max_attempts, retry_on=tuple(retry_on), skip_on=tuple(skip_on), initial_delay=0.0, **rule)
    job, runs = client.submit_shell("true", retry=policy), []

    for number, end in enumerate(ends):
        claim = claimed(worker, job.id, number)
        if not isinstance(claim, Claim):
            break
        runs.append(claim)
        ended(worker, claim, end)
    worker.tick()

    state, attempts = expected(policy, ends)
    assert job.state() is state
    if state is not State.LOST:
        # Each attempt is a run of its own, and a loss takes no attempt away.
        assert job.facts()["attempt"] == attempts
    assert len({run.run_id for run in runs}) == len(runs)
    assert all(run.attempt <= max_attempts for run in runs)


def test_the_limit_of_an_attempt_comes_from_the_spec_and_the_number_counted(client: Client, worker: FakeWorker) -> None:
    rule = {"max_attempts": 4, "oom_memory_factor": 2, "oom_memory_max_mb": 300}
    job = client.submit_shell("true", limits={"memory_mb": 100}, retry=rule)
    limits, specs = [], set()

    for number, end in enumerate([ENDS[4], LOSS, ENDS[1], ENDS[4], ENDS[0]]):
        claim = claimed(worker, job.id, number)
        assert isinstance(claim, Claim)
        specs.add((claim.spec, claim.signature))
        limits.append(JobSpec.from_json(claim.spec).after_out_of_memory(claim.out_of_memory).limits.memory_mb)
        ended(worker, claim, end)

    assert limits == [100, 200, 200, 200, 300]
    assert len(specs) == 1


def test_after_out_of_memory_a_job_waits_in_the_queue_of_its_rule(
    client: Client, worker: FakeWorker, broker: Broker
) -> None:
    job = client.submit_shell("true", retry={"max_attempts": 3, "oom_queue": "big"})
    claim = claimed(worker, job.id, 1)
    assert isinstance(claim, Claim)
    ended(worker, claim, ENDS[4])

    assert (job.state(), job.facts()["queue"]) == (State.DELAYED, "big")
    again = claimed(worker, job.id, 2)
    assert isinstance(again, Claim)
    assert (again.queue, again.attempt, again.out_of_memory) == ("big", 2, 1)
    assert broker.redis.sismember(broker.keys("running", "big"), job.id)
    assert not broker.redis.sismember(broker.keys("running", "default"), job.id)
    assert broker.redis.sismember(broker.keys("queues"), "big")
    # What it does next is in the queue where it is now.
    ended(worker, again, ENDS[1])
    assert job.facts()["queue"] == "big"


def test_an_older_message_in_a_queue_that_its_job_has_left_gives_it_to_nobody(
    client: Client, worker: FakeWorker, broker: Broker
) -> None:
    job = client.submit_shell("true", retry={"max_attempts": 3, "oom_queue": "big"})
    ended(worker, worker.claim(job.id), ENDS[4])
    broker.redis.zadd(broker.keys("delayed"), {job.id: 1})
    worker.tick()
    waits_behind = client.submit_shell("true")

    assert worker.claims.claim(job.id, "from-before", "default") == "moved"
    assert (job.state(), job.facts()["queue"]) == (State.QUEUED, "big")
    assert waits_behind.state() is State.QUEUED
    again = worker.claims.claim(job.id, "run-2", "big")
    assert isinstance(again, Claim)
    assert (again.queue, again.attempt) == ("big", 2)


def test_the_next_attempt_looks_for_a_worker_with_as_much_more_memory(client: Client, worker: FakeWorker) -> None:
    broker, offer = client.broker, {"slots": 2, "queues": "default", "labels": "{}", "memory_mb": 200}
    broker.redis.hset(broker.keys("worker", "worker-1"), mapping=offer)
    broker.redis.zadd(broker.keys("workers"), {"worker-1": server_ms(broker) + 60_000})
    worker.tick()
    rule = {"max_attempts": 4, "oom_memory_factor": 2, "oom_memory_max_mb": 300}
    job = client.submit_shell("true", limits={"memory_mb": 100}, needs_memory_mb=80, group="g", retry=rule)
    asked = []
    for number, end in enumerate([ENDS[4], ENDS[1], ENDS[4]]):
        claim = claimed(worker, job.id, number)
        assert isinstance(claim, Claim)
        asked.append(json.loads(claim.lane))
        ended(worker, claim, end)

    assert asked == [{"g": "g", "m": needed} for needed in (80, 160, 160)]
    # It needs 240 now, and nobody has that; then somebody has.
    assert claimed(worker, job.id, 3) == "waits"
    broker.redis.hset(broker.keys("worker", "worker-1"), "memory_mb", 250)
    worker.tick()
    assert isinstance(claimed(worker, job.id, 4), Claim)


def test_a_cancel_before_the_end_is_stronger_than_the_rule(client: Client, worker: FakeWorker) -> None:
    job = client.submit_shell("true", retry={"max_attempts": 3, "oom_queue": "big"})
    claim = worker.claim(job.id)
    job.cancel()
    ended(worker, claim, ENDS[4])

    assert (job.state(), job.facts()["queue"]) == (State.CANCELLED, "default")


def test_what_was_counted_comes_back_with_a_job_that_the_server_forgot(client: Client, worker: FakeWorker) -> None:
    job = client.submit_shell("true", limits={"memory_mb": 10}, retry={"max_attempts": 4, "oom_memory_factor": 2})
    first = worker.claim(job.id)
    ended(worker, first, ENDS[4])
    second = claimed(worker, job.id, 2)
    assert isinstance(second, Claim)

    client.broker.redis.flushall()
    assert worker.claims.reassert(second, 15.0)
    ended(worker, second, ENDS[4])
    third = claimed(worker, job.id, 3)

    assert isinstance(third, Claim)
    assert (third.out_of_memory, third.attempt) == (2, 3)


def test_none_is_tried_again_once_the_total_time_since_the_first_start_is_over(
    client: Client, worker: FakeWorker
) -> None:
    job = client.submit_shell("true", retry={"max_attempts": 9, "initial_delay": 0, "max_total_time": 60})
    early, claim = [], worker.claim(job.id)
    for elapsed in (0.0, 59.0, 60.0, 61.0):
        at = dataclasses.replace(claim, elapsed_seconds=elapsed)
        usage = Usage(exit_code=1, execution_time_seconds=0.5)
        record = RunRecord(claim.run_id, job.id, 1, "w", "h", State.FAILED, usage)
        early.append(after(JobSpec.from_json(claim.spec), at, record).state)

    assert early == [State.DELAYED, State.DELAYED, State.FAILED, State.FAILED]


def test_the_time_since_the_first_start_goes_on_over_attempts_and_losses(client: Client, worker: FakeWorker) -> None:
    job = client.submit_shell("true", retry={"max_attempts": 9, "initial_delay": 0})
    first = worker.claim(job.id)
    ended(worker, first, ENDS[1])
    second = claimed(worker, job.id, 2)
    assert isinstance(second, Claim)
    ended(worker, second, LOSS)
    third = claimed(worker, job.id, 3)

    assert isinstance(third, Claim)
    assert (second.first_start_ms, third.first_start_ms) == (first.first_start_ms, first.first_start_ms)


def test_delayed_attempts_are_moved_by_whoever_comes_late_in_the_order_they_were_due(
    client: Client, worker: FakeWorker, broker: Broker
) -> None:
    jobs = [client.submit_shell("true", retry={"max_attempts": 2}) for _ in range(450)]
    order = list(range(450))
    random.Random(3).shuffle(order)
    for place in order:
        claim = worker.claim(jobs[place].id, f"run-{place}")
        worker.claims.finish(Ending(claim.job_id, claim.run_id, "{}", State.DELAYED, place / 10_000))
    # The worker that ended them is gone; another comes when all are long due.
    late = FakeWorker(broker)
    eventually(lambda: broker.redis.zcount(broker.keys("delayed"), "-inf", server_ms(broker)) == len(jobs))
    moved = [late.tick()[0] for _ in range(4)]

    assert moved == [200, 200, 50, 0]
    assert {job.state() for job in jobs} == {State.QUEUED}
