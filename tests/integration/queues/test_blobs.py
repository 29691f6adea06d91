"""Bytes that travel arrive as they were sent."""

import os
import time
import zlib

import pytest

from scriptfleet import Client, State
from scriptfleet.errors import BlobMissing, BlobTooLarge
from scriptfleet.queues.blobs import LIFETIME_SECONDS, BlobStore, digest
from scriptfleet.queues.client import Broker
from scriptfleet.queues.connection import with_patience
from scriptfleet.queues.drafts import of_code
from tests.integration.queues.conftest import FakeWorker

CONTENT = b"print('hello')\n" * 100


@pytest.fixture
def blobs(broker: Broker) -> BlobStore:
    return BlobStore(broker.redis, broker.keys, limit_bytes=10_000)


def test_bytes_come_out_as_they_went_in(blobs: BlobStore) -> None:
    assert blobs.get(blobs.put("a.py", CONTENT), len(CONTENT)) == CONTENT
    assert blobs.get(blobs.put("empty", b""), 0) == b""


def test_bytes_over_the_limit_are_refused_with_name_and_limit(blobs: BlobStore) -> None:
    with pytest.raises(BlobTooLarge, match=r"big\.py.*10,001.*10,000"):
        blobs.put("big.py", b"x" * 10_001)


def test_bytes_live_for_a_week_and_every_submit_renews_that(blobs: BlobStore, broker: Broker) -> None:
    key = broker.keys("blob", blobs.put("a.py", CONTENT))
    assert LIFETIME_SECONDS - 5 <= broker.redis.ttl(key) <= LIFETIME_SECONDS

    broker.redis.expire(key, 100)
    BlobStore(broker.redis, broker.keys, 10_000).put("a.py", CONTENT)
    assert broker.redis.ttl(key) > LIFETIME_SECONDS - 5


def test_bytes_of_a_job_far_in_the_future_live_until_a_week_after_it_and_no_submit_shortens_that(
    client: Client, blobs: BlobStore, broker: Broker
) -> None:
    client.submit_code("print(1)", not_before=time.time() + LIFETIME_SECONDS)
    client.submit_code("print(1)")
    key = broker.keys("blob", blobs.put("a.py", b"print(1)"))
    blobs.keep(b"print(1)", 60)

    assert broker.redis.ttl(key) > LIFETIME_SECONDS * 2 - 60


def test_bytes_of_a_job_that_is_tried_again_live_for_a_week_more(
    client: Client, worker: FakeWorker, broker: Broker
) -> None:
    for again in (State.DELAYED, State.QUEUED):
        job = client.submit_code("print(1)")
        key = broker.keys("blob", digest(b"print(1)"))
        claim = worker.claim(job.id)
        broker.redis.expire(key, 100)

        worker.finish(claim, again, delay=1_000.0)

        assert broker.redis.ttl(key) > LIFETIME_SECONDS - 60


def test_bytes_of_a_delayed_job_that_moves_on_live_for_a_week_more(
    client: Client, worker: FakeWorker, broker: Broker
) -> None:
    job = client.submit_code("print(1)")
    worker.finish(worker.claim(job.id), State.DELAYED)
    key = broker.keys("blob", digest(b"print(1)"))
    broker.redis.expire(key, 100)

    assert worker.tick()[0] == 1
    assert broker.redis.ttl(key) > LIFETIME_SECONDS - 60


def test_bytes_that_a_wiped_server_lost_are_sent_with_the_next_submit(client: Client, broker: Broker) -> None:
    client.submit_code("print(1)")
    broker.redis.flushall()
    job = client.submit_code("print(1)")

    assert job.state() is State.QUEUED
    assert broker.blobs.get(digest(b"print(1)"), 8) == b"print(1)"


def test_a_job_without_its_bytes_is_refused_and_leaves_nothing(client: Client, broker: Broker) -> None:
    spec = of_code("print(1)", (), 10_000).spec

    with pytest.raises(BlobMissing, match="submit the job again"):
        client.submit_many([spec])

    assert broker.redis.keys("*job:*") == []
    assert broker.redis.xlen(broker.keys("events")) == 0


def test_many_bytes_may_take_longer_than_an_answer_may(broker: Broker) -> None:
    with with_patience(broker.redis, 60.0) as client:
        assert client.connection_pool.connection_kwargs["socket_timeout"] == 60.0
        assert client.ping()
    content = os.urandom(3_000_000)
    large = BlobStore(broker.redis, broker.keys, limit_bytes=10_000_000)

    assert large.get(large.put("large", content), len(content)) == content


@pytest.mark.parametrize(
    "stored", [zlib.compress(CONTENT[:-1] + b"!"), zlib.compress(b"x" * 9_000), b"no zlib", zlib.compress(CONTENT)[:9]]
)
def test_bytes_that_were_changed_on_the_way_are_refused(blobs: BlobStore, broker: Broker, stored: bytes) -> None:
    sha256 = blobs.put("a.py", CONTENT)
    broker.redis.set(broker.keys("blob", sha256), stored)

    with pytest.raises(BlobMissing, match="submit the job again"):
        blobs.get(sha256, len(CONTENT))


def test_bytes_that_are_gone_are_told_so(blobs: BlobStore) -> None:
    with pytest.raises(BlobMissing, match="no longer"):
        blobs.get(digest(b"never there"), 11)
