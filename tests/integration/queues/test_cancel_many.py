"""Jobs are cancelled by group and labels: those that live, all of them, and no others."""

import time

import pytest
import redis

from scriptfleet import Client, State
from scriptfleet.errors import InvalidValue
from scriptfleet.queues.client import Broker
from scriptfleet.queues.drafts import of_command
from scriptfleet.queues.living_jobs import BATCH
from tests.integration.queues.conftest import FakeWorker


def marked(broker: Broker) -> list[bytes]:
    return list(broker.redis.scan_iter(broker.keys("marked", "*")))


def test_a_group_is_cancelled_whole_in_whatever_state_its_jobs_are(client: Client, worker: FakeWorker) -> None:
    mine = [client.submit_shell("true", group="nightly") for _ in range(3)]
    delayed = client.submit_shell("true", group="nightly", not_before=time.time() + 600)
    other = client.submit_shell("true", group="weekly")
    run = worker.claim(mine[0].id)
    ended = worker.claim(mine[1].id, "run-2")
    worker.finish(ended)

    assert client.cancel(group="nightly") == {"queued": 1, "delayed": 1, "running": 1}

    assert [job.state() for job in mine] == [State.RUNNING, State.SUCCEEDED, State.CANCELLED]
    assert delayed.state() is State.CANCELLED
    assert other.state() is State.QUEUED
    assert mine[0].facts()["is_cancel_asked"]
    worker.finish(run, State.CANCELLED)
    assert client.cancel(group="nightly") == {}


def test_labels_must_all_fit_and_the_queue_too(client: Client) -> None:
    both = client.submit_shell("true", labels={"team": "a", "env": "test"})
    far = client.submit_shell("true", labels={"team": "a", "env": "test"}, queue="gpu")
    one = client.submit_shell("true", labels={"team": "a"})
    grouped = client.submit_shell("true", labels={"team": "a", "env": "test"}, group="g")

    assert client.cancel(labels={"team": "a", "env": "test"}, group="g") == {"queued": 1}
    assert client.cancel(labels={"team": "a", "env": "test"}, queue="gpu") == {"queued": 1}
    assert client.cancel(labels={"env": "test", "team": "a"}) == {"queued": 1}
    assert client.cancel(labels={"team": "b"}) == {}

    assert [job.state() for job in (both, far, grouped)] == [State.CANCELLED] * 3
    assert one.state() is State.QUEUED


def test_more_jobs_than_one_call_takes_are_all_cancelled(client: Client, broker: Broker) -> None:
    count = BATCH * 5 + 7
    client.submit_many([of_command("true", group="big", labels={"n": str(at % 2)}) for at in range(count)])

    assert client.cancel(group="big", labels={"n": "1"}) == {"queued": count // 2}
    assert client.cancel(group="big") == {"queued": count - count // 2}
    assert marked(broker) == []


def test_a_job_leaves_its_sets_whatever_ends_it(client: Client, worker: FakeWorker, broker: Broker) -> None:
    how = {"group": "g", "labels": {"a": "b=c", "ü\n": "\x00x".replace("\x00", "")}}
    run = worker.claim(client.submit_shell("true", **how).id)
    expired = client.submit_shell("true", expires=time.time() - 1, **how)
    client.submit_shell("true", **how).cancel()
    assert len(marked(broker)) == 3

    worker.tick()
    assert expired.state() is State.EXPIRED
    assert {members for key in marked(broker) for members in broker.redis.smembers(key)} == {run.job_id.encode()}

    worker.finish(run, State.DELAYED)
    assert len(marked(broker)) == 3
    worker.tick()
    worker.finish(worker.claim(run.job_id, "run-2"), State.FAILED)
    assert marked(broker) == []


def test_a_job_that_the_server_forgot_is_found_again_by_its_group(client: Client, worker: FakeWorker) -> None:
    claim = worker.claim(client.submit_shell("true", group="g", labels={"a": "b"}).id)
    client.broker.redis.flushall()
    assert worker.claims.reassert(claim, 15.0)

    assert client.cancel(group="g", labels={"a": "b"}) == {"running": 1}


def test_a_job_without_group_and_labels_is_in_no_set(client: Client, broker: Broker) -> None:
    job = client.submit_shell("true")

    assert marked(broker) == []
    assert broker.redis.hget(broker.keys("job", job.id), "marks") is None


def test_ids_are_cancelled_with_counts(client: Client) -> None:
    jobs = [client.submit_shell("true") for _ in range(3)]
    jobs[0].cancel()

    counts = client.cancel([*(job.id for job in jobs), jobs[1].id, "00000000-0000-4000-8000-000000000000"])

    assert counts == {"cancelled": 1, "queued": 2, "gone": 1}


@pytest.mark.parametrize(
    "named",
    [{}, {"queue": "default"}, {"group": ""}, {"group": "g", "job_ids": ["x"]}, {"labels": {"a": 1}}, {"group": 3}],
)
def test_what_names_no_jobs_is_refused(client: Client, named: dict) -> None:
    with pytest.raises(InvalidValue):
        client.cancel(**named)


def test_cancel_by_group_works_on_a_full_server(client: Client, redis_client: redis.Redis) -> None:
    client.submit_shell("true", group="g")
    redis_client.config_set("maxmemory", 1)
    try:
        assert client.cancel(group="g") == {"queued": 1}
    finally:
        redis_client.config_set("maxmemory", 0)
