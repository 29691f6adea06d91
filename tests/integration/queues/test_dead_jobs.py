"""Dead jobs are listed for as long as they are known, and replayed once each."""

import time

import pytest
import redis

from scriptfleet import Client, State
from scriptfleet.domain.job import JobSpec
from scriptfleet.errors import BlobMissing, InvalidValue, JobNotFound
from scriptfleet.queues.claims import LOSSES_ALLOWED
from scriptfleet.queues.client import Broker
from scriptfleet.queues.dead_jobs import DeadFilter
from scriptfleet.queues.drafts import of_command
from scriptfleet.queues.job_handle import Job
from tests.eventually import eventually
from tests.integration.queues.conftest import FakeWorker


def die(client: Client, worker: FakeWorker, state: State = State.FAILED, **options: object) -> Job:
    job = client.submit_shell("true", **options)  # type: ignore[arg-type]
    worker.finish(worker.claim(job.id, f"run-{job.id}"), state)
    return job


def test_each_bad_end_is_listed_and_no_other(client: Client, worker: FakeWorker) -> None:
    bad = [State.FAILED, State.TIMED_OUT, State.OUT_OF_MEMORY, State.REJECTED]
    dead = [die(client, worker, state) for state in bad]
    die(client, worker, State.SUCCEEDED)
    die(client, worker, State.CANCELLED)
    client.submit_shell("true").cancel()
    client.submit_shell("true", expires=time.time() - 1)
    die(client, worker, State.DELAYED)
    worker.tick()

    assert {one.job_id: one.outcome for one in client.dead.newest()} == {
        job.id: state for job, state in zip(dead, bad, strict=True)
    }


def test_a_job_lost_too_often_is_dead(client: Client, worker: FakeWorker) -> None:
    job = client.submit_shell("true", group="g")
    for number in range(LOSSES_ALLOWED + 1):
        assert client.dead.ids() == []
        worker.lose(worker.claim(job.id, f"run-{number}"))
        worker.tick()

    one = client.dead.newest()[0]
    assert (one.job_id, one.outcome, one.losses, one.error) == (
        *(job.id, State.LOST, LOSSES_ALLOWED + 1),
        "its workers were lost too often",
    )


def test_queue_group_and_time_choose(client: Client, worker: FakeWorker) -> None:
    first = die(client, worker, group="a")
    second = die(client, worker, group="b", queue="gpu")
    ended = {one.job_id: one.ended_at for one in client.dead.newest()}

    assert client.dead.ids(DeadFilter(queue="gpu")) == [second.id]
    assert client.dead.ids(DeadFilter(group="a")) == [first.id]
    assert client.dead.ids(DeadFilter(group="a", queue="gpu")) == []
    assert set(client.dead.ids(DeadFilter(since=ended[second.id]))) >= {second.id}
    assert client.dead.ids(DeadFilter(since=ended[second.id] + 1)) == []
    assert len(client.dead.newest(limit=1)) == 1


def test_a_replay_is_a_new_job_and_takes_the_old_one_off_the_list(client: Client, worker: FakeWorker) -> None:
    old = die(client, worker, retry={"max_attempts": 3}, labels={"k": "v"}, expires=time.time() + 60)

    new = client.dead.replay(old.id, submitted_by="me")

    assert client.dead.ids() == []
    assert (new.state(), new.facts()["rerun_of"], old.state()) == (State.QUEUED, old.id, State.FAILED)
    claim = worker.claim(new.id, "run-2")
    spec = JobSpec.from_json(claim.spec)
    assert (spec.retry.max_attempts, spec.labels, spec.submitted_by, claim.attempt) == (3, {"k": "v"}, "me", 1)
    # It may die, and be replayed, in its turn.
    worker.finish(claim, State.FAILED)
    assert client.dead.ids() == [new.id]
    assert client.dead.replay(new.id).facts()["rerun_of"] == new.id


def test_a_replay_that_is_repeated_makes_one_job(client: Client, worker: FakeWorker, broker: Broker) -> None:
    old = die(client, worker)
    score = broker.redis.zscore(broker.keys("dead"), old.id)
    first = client.dead.replay(old.id)
    # As when the call was cut off between its two steps.
    broker.redis.zadd(broker.keys("dead"), {old.id: score})

    assert client.dead.replay(old.id).id == first.id
    assert len(broker.redis.keys(broker.keys("job", "*"))) == 2
    with pytest.raises(JobNotFound):
        client.dead.replay(old.id)


def test_a_dead_job_whose_bytes_are_gone_stays_on_the_list(client: Client, worker: FakeWorker, broker: Broker) -> None:
    job = client.submit_code("print(1)")
    worker.finish(worker.claim(job.id), State.FAILED)
    broker.redis.delete(*broker.redis.keys(broker.keys("blob", "*")))

    with pytest.raises(BlobMissing):
        client.dead.replay(job.id)
    assert client.dead.ids() == [job.id]


def test_what_is_removed_keeps_its_record(client: Client, worker: FakeWorker) -> None:
    jobs = [die(client, worker) for _ in range(3)]

    assert client.dead.remove([jobs[0].id, jobs[1].id, "unknown"]) == 2
    assert client.dead.ids() == [jobs[2].id]
    assert jobs[0].state() is State.FAILED


def test_the_list_lives_no_longer_than_the_records(client: Client, worker: FakeWorker, broker: Broker) -> None:
    worker.claims._keep_ms = 1
    jobs = client.submit_many([of_command("true") for _ in range(40)])
    for job in jobs:
        worker.finish(worker.claim(job.id, f"run-{job.id}"), State.FAILED)
    eventually(lambda: not broker.redis.keys(broker.keys("job", "*")))
    assert client.dead.ids() == []
    assert client.dead.newest() == []

    # Those that come push out those that are known no more.
    worker.claims._keep_ms = 60_000
    late = {die(client, worker).id for _ in range(5)}
    assert {job_id.decode() for job_id in broker.redis.zrange(broker.keys("dead"), 0, -1)} == late


def test_a_spec_that_nobody_can_read_is_listed_all_the_same(
    client: Client, worker: FakeWorker, redis_client: redis.Redis
) -> None:
    job = die(client, worker, State.REJECTED)
    redis_client.hset(client.broker.keys("job", job.id), "spec", b"\xff{")

    assert [(one.job_id, one.group) for one in client.dead.newest()] == [(job.id, None)]
    assert client.dead.ids(DeadFilter(group="x")) == []
    with pytest.raises(InvalidValue, match="JSON"):
        client.dead.replay(job.id)
    assert client.dead.ids() == [job.id]
