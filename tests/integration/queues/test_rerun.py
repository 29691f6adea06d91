"""A rerun is a new job from an old one's spec: with the same input or another, and it says where it came from."""

import time
from pathlib import Path

import pytest
import redis

from scriptfleet import Client, State
from scriptfleet.config import Settings
from scriptfleet.domain.job import JobSpec
from scriptfleet.errors import BlobMissing, InvalidValue, JobNotFound
from scriptfleet.queues.drafts import of_code, of_command
from scriptfleet.queues.job_handle import Job
from tests.integration.queues.conftest import FakeWorker

KEY = "a key of the fleet"


def spec_of(worker: FakeWorker, job: Job) -> JobSpec:
    return JobSpec.from_json(worker.claim(job.id, f"run-{job.id}").spec)


def test_a_rerun_is_a_new_job_with_the_same_input(client: Client, worker: FakeWorker) -> None:
    old = client.submit_code("print(1)", ["a", "b"], env={"A": "1"}, labels={"k": "v"}, priority=7, timeout=60, retry=2)
    worker.finish(worker.claim(old.id), State.FAILED)

    new = client.retry(old.id)

    assert new.id != old.id
    assert new.facts()["rerun_of"] == old.id
    assert old.facts()["rerun_of"] is None
    assert old.state() is State.FAILED
    before = JobSpec.from_json(client.broker.redis.hget(client.broker.keys("job", old.id), "spec"))
    after = spec_of(worker, new).to_dict()
    assert after.pop("rerun_of") == old.id
    assert after == before.to_dict()


def test_what_is_given_changes_and_the_rest_stays(client: Client, worker: FakeWorker) -> None:
    old = client.submit_code(
        "print(1)", ["a"], env={"A": "1", "B": "2"}, limits={"memory_mb": 100, "cpu_seconds": 5}, labels={"k": "v"}
    )

    new = client.rerun(
        old.id,
        args=["x", "y"],
        env={"B": "3"},
        limits={"memory_mb": 400},
        labels={"n": "1"},
        timeout=9,
        queue="big",
        priority=9,
        retry=3,
        name="again.py",
        idempotency_key="once",
    )

    spec = spec_of(worker, new)
    assert (spec.args, spec.env, spec.labels) == (("x", "y"), {"A": "1", "B": "3"}, {"k": "v", "n": "1"})
    assert (spec.limits.memory_mb, spec.limits.cpu_seconds) == (400, 5)
    assert (spec.timeout_seconds, spec.queue, spec.priority, spec.name) == (9, "big", 9, "again.py")
    assert (spec.retry.max_attempts, spec.idempotency_key) == (4, "once")


def test_a_function_gets_other_arguments(client: Client, worker: FakeWorker) -> None:
    old = client.submit_function("pricing:total", [[1, 2]], {"tax": 0.5})

    new = client.rerun(old.id, kwargs={"tax": 0})
    assert spec_of(worker, new).config["args"] == [[1, 2]]
    newer = client.rerun(new.id, args=[[3]])
    assert spec_of(worker, newer).config["args"] == [[3]]
    assert newer.facts()["rerun_of"] == new.id


def test_what_held_for_the_one_submit_alone_is_not_taken_over(client: Client, worker: FakeWorker) -> None:
    old = client.submit_shell(
        "true", idempotency_key="k", not_before=time.time() + 500, expires=time.time() + 600, schedule="nightly"
    )

    new = client.rerun(old.id)

    assert new.state() is State.QUEUED
    spec = spec_of(worker, new)
    assert (spec.idempotency_key, spec.not_before, spec.expires_at, spec.schedule) == (None, None, None, None)


def test_a_job_that_the_broker_let_go_is_not_found(client: Client) -> None:
    with pytest.raises(JobNotFound):
        client.rerun("00000000-0000-4000-8000-000000000000")


def test_bytes_that_are_gone_are_told(client: Client) -> None:
    old = client.submit_draft(of_code("print(1)", (), 1 << 20))
    client.broker.redis.delete(*client.broker.redis.keys(client.broker.keys("blob", "*")))

    with pytest.raises(BlobMissing, match="not with the broker"):
        client.rerun(old.id)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"memory": "1G"}, "limits="),
        ({"code": "x"}, "option: 'code'"),
        ({"args": "abc"}, "args"),
        ({"kwargs": {"a": 1}}, "kwargs"),
        ({"queue": "a/b"}, "queue"),
        ({"limits": {"memory": 1}}, "limits"),
        ({"timeout": -1}, "timeout"),
        ({"retry": -1}, "retry"),
        ({"rerun_of": "x"}, "rerun_of"),
    ],
)
def test_a_change_that_cannot_be_is_refused_by_name(client: Client, changes: dict, said: str) -> None:
    old = client.submit_code("print(1)")

    with pytest.raises(InvalidValue, match=said):
        client.rerun(old.id, **changes)


def test_a_client_with_a_key_does_not_sign_what_was_not_signed_with_it(
    redis_client: redis.Redis, redis_url: str, tmp_path: Path
) -> None:
    client = Client(settings=Settings(home=tmp_path, redis_url=redis_url, signing_key=KEY))
    unsigned = Client(settings=Settings(home=tmp_path, redis_url=redis_url)).submit_shell("true")
    job = client.submit_shell("true")
    assert client.rerun(job.id).facts()["rerun_of"] == job.id

    altered = client.submit_shell("true")
    spec = of_command("rm -rf /").spec.to_json()
    redis_client.hset(client.broker.keys("job", altered.id), "spec", spec)
    swapped = client.submit_shell("true")
    redis_client.hset(
        client.broker.keys("job", swapped.id), mapping=redis_client.hgetall(client.broker.keys("job", job.id))
    )

    for refused in (unsigned, altered, swapped):
        with pytest.raises(InvalidValue, match="signing key"):
            client.rerun(refused.id)
    client.broker.redis.close()
