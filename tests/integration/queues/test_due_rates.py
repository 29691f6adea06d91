"""A rate opens when its moment comes, without a tick, also for a job that came after the last one."""

from collections.abc import Iterator

import pytest

from scriptfleet import Client
from scriptfleet.queues.client import Broker
from scriptfleet_workers.due_rates import DueRates
from tests.eventually import eventually
from tests.integration.queues.conftest import FakeWorker
from tests.integration.queues.test_flow_control import serve, submit, with_celery

HOUR_SECONDS = 3600.0


@pytest.fixture
def rates(worker: FakeWorker) -> Iterator[DueRates]:
    made = DueRates(worker.claims.open_due_rates)
    made.start()
    yield made
    made.close()


def let_pass(broker: Broker, seconds: float) -> None:
    """Let the server have seen the starts of the rate so much longer ago; it does not look before it is asked."""
    for key in (broker.keys("held", "r", "api"), broker.keys("rates_due")):
        for member in broker.redis.zrange(key, 0, -1):
            broker.redis.zincrby(key, -seconds * 1000, member)


def test_a_rate_that_is_used_up_is_told_by_the_tick_and_opened_between_ticks(
    client: Client, broker: Broker, worker: FakeWorker, rates: DueRates
) -> None:
    serve(broker)
    first = submit(client, 1, rate_key="api", rate_limit="1/1h")[0]
    worker.finish(worker.claim(first.id))

    told = worker.claims.tick().rate_due_seconds
    later = [submit(client, 1, rate_key="api", rate_limit="1/1h")[0] for _ in range(2)]
    assert told is not None
    assert 0 < told <= HOUR_SECONDS
    assert with_celery(broker) == [first.id]

    # The first look finds that the moment comes a little later, and nobody tells of it again.
    let_pass(broker, told - 0.3)
    rates.note(0.0)
    eventually(lambda: with_celery(broker) == [first.id, later[0].id])
    worker.finish(worker.claim(later[0].id, "run-2"))

    let_pass(broker, HOUR_SECONDS)
    rates.note(0.0)
    eventually(lambda: later[1].id in with_celery(broker))


def test_where_no_rate_is_used_up_nothing_is_due(client: Client, broker: Broker, worker: FakeWorker) -> None:
    serve(broker)
    job = submit(client, 1, rate_key="api", rate_limit="2/1h")[0]
    worker.finish(worker.claim(job.id))

    assert worker.claims.tick().rate_due_seconds is None
    assert worker.claims.open_due_rates() is None
