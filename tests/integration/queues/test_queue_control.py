"""Queues are paused, resumed and purged for the whole fleet at once."""

import pytest

from scriptfleet import Client, State
from scriptfleet.errors import InvalidValue
from scriptfleet.queues.claims import Claim
from scriptfleet.queues.client import Broker
from scriptfleet.queues.queue_control import QueueControl
from tests.integration.queues.conftest import FakeWorker
from tests.integration.queues.test_flow_control import depth, serve, submit, traces, with_celery


def test_a_paused_queue_takes_submits_and_starts_nothing(client: Client, broker: Broker, worker: FakeWorker) -> None:
    serve(broker)
    control = QueueControl(broker, "default")
    running = worker.claim(client.submit_shell("true").id, "r0")
    waiting = client.submit_shell("true")
    assert control.pause()
    assert not control.pause()
    late = client.submit_shell("true")
    worker.tick()

    assert worker.claims.claim(waiting.id, "r") == "paused"
    assert worker.claims.claim(late.id, "r") == "paused"
    assert worker.claims.claim_next("default", "r") is None
    assert worker.finish(running)
    assert (depth(broker).ready, depth(broker).admitted) == (2, 0)
    assert depth(broker).paused_at_ms

    assert control.resume()
    assert not control.resume()
    assert isinstance(worker.claims.claim(waiting.id, "r1"), Claim)
    assert isinstance(worker.claims.claim(late.id, "r2"), Claim)


def test_a_paused_queue_holds_no_key_that_others_wait_for(client: Client, broker: Broker) -> None:
    serve(broker, queues=("a", "b"))
    submit(client, 1, queue="a", concurrency_key="db", concurrency_limit=1)
    other = submit(client, 1, queue="b", concurrency_key="db", concurrency_limit=1)[0]
    QueueControl(broker, "a").pause()

    assert with_celery(broker, "b") == [other.id]


def test_a_purge_cancels_what_waits_in_its_queue_alone(client: Client, broker: Broker, worker: FakeWorker) -> None:
    serve(broker, queues=("default", "other"))
    running = worker.claim(submit(client, 1)[0].id)
    doomed = submit(client, 300) + submit(client, 300, group="g", concurrency_key="k", concurrency_limit=1)
    doomed += submit(client, 5, not_before=4e9) + submit(client, 3, rate_key="r", rate_limit="1/1h")
    spared = [*submit(client, 2, queue="other"), *submit(client, 2, queue="other", not_before=4e9)]

    assert QueueControl(broker, "default").purge(most=10_000) == len(doomed)
    assert {job.state() for job in doomed} == {State.CANCELLED}
    assert doomed[0].result(1).reason == "cancelled when its queue was purged"
    assert [job.state() for job in spared] == [State.QUEUED, State.QUEUED, State.DELAYED, State.DELAYED]
    assert worker.finish(running)
    assert (depth(broker).waiting, depth(broker).delayed) == (0, 0)
    QueueControl(broker, "other").purge(most=10_000)
    assert traces(broker) == set()


def test_a_purge_passes_over_no_delayed_job_while_others_come_due(client: Client, broker: Broker) -> None:
    sooner = submit(client, 300, queue="other", not_before=4e9)
    doomed = submit(client, 300, not_before=5e9)

    cancelled, place = purged(broker, 200, 0)
    client.cancel([job.id for job in sooner])
    while place >= 0:
        more, place = purged(broker, 200, place)
        cancelled += more

    assert cancelled == 300
    assert {job.state() for job in doomed} == {State.CANCELLED}


def test_a_purge_passes_over_no_delayed_job_where_the_server_gives_more_than_it_was_asked_for(
    client: Client, broker: Broker
) -> None:
    doomed = submit(client, 50, not_before=5e9)

    cancelled, place, most_at_once = 0, 0, 0
    while place >= 0:
        more, place = purged(broker, 20, place)
        cancelled, most_at_once = cancelled + more, max(most_at_once, more)

    assert (cancelled, most_at_once) == (50, 20)
    assert {job.state() for job in doomed} == {State.CANCELLED}


def purged(broker: Broker, most: int, place: int) -> list[int]:
    """Cancel some delayed jobs; give how many, and where to go on."""
    return [int(one) for one in broker.scripts.call("purge", "default", "delayed", most, place, broker.keep_ms)]


def test_a_purge_ends_no_more_jobs_than_was_agreed(client: Client, broker: Broker) -> None:
    submit(client, 20)

    submit(client, 20, not_before=4e9)

    assert QueueControl(broker, "default").purge(most=15) == 15
    assert depth(broker).waiting == 5
    assert QueueControl(broker, "default").purge(most=15) == 15
    assert depth(broker).delayed == 10


def test_a_queue_that_cannot_be_is_not_paused(broker: Broker) -> None:
    with pytest.raises(InvalidValue, match="queue"):
        QueueControl(broker, "no such:queue")
