"""Facts wait until somebody has stored them, or has set them aside."""

import os
from collections.abc import Callable
from typing import Any

import pytest
import redis

from scriptfleet import Client
from scriptfleet.domain.event import EventType
from scriptfleet.queues.client import Broker
from scriptfleet.queues.connection import with_patience
from scriptfleet.queues.events import BATCH_BYTES, GROUP, OUTPUT_PIECE_BYTES, EventReader, OutputPublisher
from scriptfleet.queues.keys import Keys
from tests.broker_server import BrokerServer
from tests.integration.queues.conftest import FakeWorker

KEYS = Keys("facts")


@pytest.fixture
def reader(broker: Broker) -> EventReader:
    return EventReader(broker.redis, broker.keys, "first")


def test_the_facts_of_a_job_come_in_their_order(client: Client, worker: FakeWorker, reader: EventReader) -> None:
    job = client.submit_shell("true")
    worker.finish(worker.claim(job.id), text="done")
    events = reader.read()

    assert [(event.type, event.revision) for event in events] == [
        (EventType.SUBMITTED, 1),
        (EventType.CLAIMED, 2),
        (EventType.FINISHED, 3),
    ]
    assert {event.job_id for event in events} == {job.id}
    assert events[1].data == {"run_id": "run-1", "attempt": 1, "worker": "worker-1"}
    assert events[2].data["record"]["stdout"]["text"] == "done"
    assert events[2].data["record"]["curve"] == []


def test_what_was_read_and_not_stored_comes_again_first(client: Client, broker: Broker, reader: EventReader) -> None:
    client.submit_shell("true")
    first = reader.read()
    client.submit_shell("true")

    restarted = EventReader(broker.redis, broker.keys, "first")
    assert restarted.read() == first
    assert [event.entry_id for event in restarted.read()] != [event.entry_id for event in first]


def test_a_write_that_failed_is_started_over(client: Client, reader: EventReader) -> None:
    client.submit_shell("true")
    reader.read()
    first = reader.read(block_ms=1)
    reader.start_over()

    assert first == []
    assert len(reader.read()) == 1


def test_what_is_stored_is_gone(client: Client, broker: Broker, reader: EventReader) -> None:
    client.submit_shell("true")
    reader.done([event.entry_id for event in reader.read()])

    assert reader.backlog() == 0
    assert EventReader(broker.redis, broker.keys, "first").read(block_ms=1) == []


def test_two_readers_share_the_facts(client: Client, broker: Broker, reader: EventReader) -> None:
    for _ in range(10):
        client.submit_shell("true")
    other = EventReader(broker.redis, broker.keys, "second")
    taken = [event.entry_id for event in reader.read(count=4) + other.read(count=100)]

    assert len(taken) == len(set(taken)) == 10


def test_a_batch_has_many_facts_but_ends_where_they_are_large(broker: Broker, reader: EventReader) -> None:
    add_facts(broker.redis, 1_000, broker.keys)
    assert [event.job_id for event in reader.read(count=700)] == [f"j{number}" for number in range(700)]
    assert len(reader.read(count=700)) == 300

    pieces = [os.urandom(OUTPUT_PIECE_BYTES // 8)] * 600
    OutputPublisher(broker.redis, broker.keys).publish("j1", "r1", "stdout", pieces, at_ms=7)
    taken, following = reader.read(count=700), reader.read(count=700)
    assert len(taken) < 300
    # Now it is known how large they are.
    assert sum(len(event.body) for event in following) < 2 * BATCH_BYTES
    assert [event.data["number"] for event in taken + following[:1]] == list(range(len(taken) + 1))


def test_the_first_facts_are_taken_few_at_a_time_since_they_may_be_large(broker: Broker, reader: EventReader) -> None:
    pieces = [os.urandom(OUTPUT_PIECE_BYTES)] * 40
    OutputPublisher(broker.redis, broker.keys).publish("j1", "r1", "stdout", pieces, at_ms=7)

    assert sum(len(event.body) for event in reader.read()) < 2 * BATCH_BYTES
    reader.start_over()
    assert sum(len(event.body) for event in reader.read()) < 2 * BATCH_BYTES


def test_an_answer_that_did_not_come_is_read_again(client: Client, broker: Broker, reader: EventReader) -> None:
    client.submit_shell("true")
    hasty = EventReader(with_patience(broker.redis, 0.05), broker.keys, "first")
    hasty.read()
    with pytest.raises(redis.TimeoutError):
        hasty.read(block_ms=2_000)

    assert len(hasty.read()) == 1


class Interrupted(redis.Redis):
    """A client under which something befalls the server before one of its reads of the stream."""

    befalls: Callable[[], object] | None = None
    reads_before = 0

    def xreadgroup(self, *arguments: Any, **options: Any) -> Any:
        self.reads_before -= 1
        if self.befalls and self.reads_before < 0:
            befalls, self.befalls = self.befalls, None
            befalls()
        return super().xreadgroup(*arguments, **options)


def interrupted(client: redis.Redis, befalls: Callable[[], object]) -> EventReader:
    """Give a reader that has left nothing unfinished, and in whose next batch the server changes after one answer."""
    made = Interrupted(connection_pool=client.connection_pool)
    reader = EventReader(made, KEYS, "first")
    assert reader.read(block_ms=1) == []
    made.befalls, made.reads_before = befalls, 1
    return reader


def add_facts(client: redis.Redis, count: int, keys: Keys = KEYS) -> None:
    for number in range(count):
        client.xadd(keys("events"), {"v": 1, "t": "moved", "j": f"j{number}", "r": 1, "at": 1, "d": "{}"})


def test_a_batch_that_a_failover_cut_short_is_read_again_at_once() -> None:
    server = BrokerServer()
    server.start()
    try:
        client = redis.Redis.from_url(server.url)
        # A replica of nobody takes no writes.
        reader = interrupted(client, lambda: client.replicaof("127.0.0.1", 1))
        add_facts(client, 300)
        with pytest.raises(redis.ReadOnlyError):
            reader.read()
        client.replicaof("NO", "ONE")

        found = reader.read() + reader.read()
        assert [event.job_id for event in found] == [f"j{number}" for number in range(300)]
    finally:
        server.remove()


def test_what_is_in_hand_when_the_server_is_wiped_is_given(redis_client: redis.Redis) -> None:
    reader = interrupted(redis_client, redis_client.flushall)
    add_facts(redis_client, 300)
    assert [event.job_id for event in reader.read()] == [f"j{number}" for number in range(16)]

    add_facts(redis_client, 1)
    assert [event.job_id for event in reader.read()] == ["j0"]


def test_a_batch_with_a_fact_that_could_not_be_buried_is_read_again_at_once(
    client: Client, broker: Broker, reader: EventReader
) -> None:
    dead = broker.keys("events", "dead")
    broker.redis.set(dead, "no stream")
    job = client.submit_shell("true")
    broker.redis.xadd(broker.keys("events"), {"v": 1})
    with pytest.raises(redis.ResponseError):
        reader.read()
    broker.redis.delete(dead)

    assert [event.job_id for event in reader.read()] == [job.id]
    assert reader.buried() == 1


class Forgetful(redis.Redis):
    """A client that does not get the answer to its first write."""

    lost = 0

    def execute_command(self, *arguments: Any, **options: Any) -> Any:
        answer = super().execute_command(*arguments, **options)
        if arguments[0] in {"XADD", "EVALSHA", "EVAL"} and not self.lost:
            self.lost = 1
            raise redis.ConnectionError("the line went down")
        return answer


def test_a_fact_is_set_aside_once_though_the_answer_was_lost(broker: Broker, redis_client: redis.Redis) -> None:
    reader = EventReader(Forgetful(connection_pool=redis_client.connection_pool), broker.keys, "first")
    add_facts(broker.redis, 1, broker.keys)
    (fact,) = reader.read()
    with pytest.raises(redis.ConnectionError):
        reader.bury(fact.entry_id, "no place for it")
    reader.bury(fact.entry_id, "no place for it")

    assert (reader.buried(), reader.backlog()) == (1, 0)


def test_a_server_that_is_full_takes_a_fact_that_only_moves(broker: Broker, reader: EventReader) -> None:
    add_facts(broker.redis, 1, broker.keys)
    (fact,) = reader.read()
    broker.redis.config_set("maxmemory", 1)
    try:
        reader.bury(fact.entry_id, "no place for it")
    finally:
        broker.redis.config_set("maxmemory", 0)

    assert (reader.buried(), reader.backlog()) == (1, 0)


def test_what_a_dead_reader_took_is_taken_over(client: Client, broker: Broker, reader: EventReader) -> None:
    client.submit_shell("true")
    taken = reader.read()
    stream = broker.keys("events")
    broker.redis.xclaim(stream, GROUP, "first", 0, [taken[0].entry_id], idle=120_000)

    assert EventReader(broker.redis, broker.keys, "second").read(block_ms=1) == taken


def test_what_is_in_hand_for_long_is_not_taken_for_abandoned_and_hides_nothing_that_is(
    broker: Broker, reader: EventReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scriptfleet.queues.events._LOOK_SECONDS", 0.0)
    stream, dead = broker.keys("events"), EventReader(broker.redis, broker.keys, "second")
    add_facts(broker.redis, 301, broker.keys)
    in_hand, left = reader.read(count=300), dead.read(block_ms=1)
    assert (len(in_hand), len(left)) == (300, 1)

    broker.redis.xclaim(stream, GROUP, "first", 0, [event.entry_id for event in in_hand], idle=120_000)
    assert reader.read(block_ms=1) == []
    broker.redis.xclaim(stream, GROUP, "second", 0, [left[0].entry_id], idle=120_000)
    assert reader.read(block_ms=1) == left
    assert reader.read(block_ms=1) == []


def test_facts_that_are_gone_are_not_taken_over(client: Client, broker: Broker, reader: EventReader) -> None:
    client.submit_shell("true")
    taken = reader.read()[0].entry_id
    broker.redis.xclaim(broker.keys("events"), GROUP, "first", 0, [taken], idle=120_000)
    broker.redis.xdel(broker.keys("events"), taken)

    assert EventReader(broker.redis, broker.keys, "second").read(block_ms=1) == []
    assert broker.redis.xpending(broker.keys("events"), GROUP)["pending"] == 0


def test_what_a_living_reader_took_is_left_to_it(client: Client, broker: Broker, reader: EventReader) -> None:
    client.submit_shell("true")
    reader.read()

    assert EventReader(broker.redis, broker.keys, "second").read(block_ms=1) == []


@pytest.mark.parametrize(
    "spoilt",
    [
        {"v": 1, "t": "submitted"},
        {"v": 99, "t": "submitted", "j": "x", "r": 1, "at": 1, "d": "{}"},
        {"v": 1, "t": "exploded", "j": "x", "r": 1, "at": 1, "d": "{}"},
        {"v": 1, "t": "submitted", "j": "x", "r": 1, "at": 1, "d": "no json"},
        {"v": 1, "t": "submitted", "j": "x", "r": 1, "at": 1, "d": "[]"},
        {"v": "one", "t": "submitted", "j": "x", "r": 1, "at": 1, "d": "{}"},
        {"v": 1, "t": "submitted", "j": b"\xff", "r": 1, "at": 1, "d": "{}"},
    ],
)
def test_a_fact_that_nobody_can_read_is_buried_and_does_not_hold_up_others(
    client: Client, broker: Broker, reader: EventReader, spoilt: dict[str, str | int | bytes]
) -> None:
    broker.redis.xadd(broker.keys("events"), spoilt)
    job = client.submit_shell("true")

    assert [event.job_id for event in reader.read()] == [job.id]
    buried = broker.redis.xrange(broker.keys("events", "dead"))
    assert len(buried) == 1
    assert buried[0][1][b"reason"]
    assert reader.backlog() == 1


def test_a_stream_that_vanished_is_read_again_from_its_new_beginning(
    client: Client, reader: EventReader, redis_client: redis.Redis
) -> None:
    client.submit_shell("true")
    reader.read()
    redis_client.flushall()
    client.submit_shell("true")

    found = reader.read(block_ms=1) or reader.read(block_ms=1)
    assert len(found) == 1


def test_output_travels_in_numbered_pieces(broker: Broker, reader: EventReader) -> None:
    OutputPublisher(broker.redis, broker.keys).publish("j1", "r1", "stdout", [b"one\xff", b"two"], at_ms=7)
    events = reader.read()

    assert [(event.type, event.data["number"], event.data["stream"]) for event in events] == [
        (EventType.OUTPUT, 0, "stdout"),
        (EventType.OUTPUT, 1, "stdout"),
    ]
