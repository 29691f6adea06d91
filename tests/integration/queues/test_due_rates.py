"""A rate opens when its moment comes, without a tick, also for a job that came after the last one."""

from collections.abc import Iterator

import pytest

from scriptfleet import Client
from scriptfleet.queues.client import Broker
from scriptfleet_workers.due_rates import DueRates
from tests.eventually import eventually
from tests.integration.queues.conftest import FakeWorker
from tests.integration.queues.test_flow_control import serve, submit, with_celery


@pytest.fixture
def rates(worker: FakeWorker) -> Iterator[DueRates]:
    made = DueRates(worker.claims.open_due_rates)
    made.start()
    yield made
    made.close()


def test_a_rate_that_is_used_up_is_told_by_the_tick_and_opened_between_ticks(
    client: Client, broker: Broker, worker: FakeWorker, rates: DueRates
) -> None:
    serve(broker)
    first = submit(client, 1, rate_key="api", rate_limit="1/300ms")[0]
    worker.finish(worker.claim(first.id))

    told = worker.claims.tick().rate_due_seconds
    later = [submit(client, 1, rate_key="api", rate_limit="1/300ms")[0] for _ in range(2)]
    assert told is not None
    assert 0 <= told <= 0.3
    rates.note(told)

    eventually(lambda: later[0].id in with_celery(broker))
    worker.finish(worker.claim(later[0].id, "run-2"))
    rates.note(0.0)
    eventually(lambda: later[1].id in with_celery(broker))


def test_where_no_rate_is_used_up_nothing_is_due(client: Client, broker: Broker, worker: FakeWorker) -> None:
    serve(broker)
    job = submit(client, 1, rate_key="api", rate_limit="2/1h")[0]
    worker.finish(worker.claim(job.id))

    assert worker.claims.tick().rate_due_seconds is None
    assert worker.claims.open_due_rates() is None
