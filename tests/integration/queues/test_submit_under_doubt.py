"""A reply that is lost on its way makes no second job: neither by the client's own tries nor by those of who asks."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from scriptfleet import Client, State
from scriptfleet.config import Settings
from scriptfleet.domain.ids import new_job_id
from scriptfleet.errors import SubmitUncertain
from scriptfleet.queues.drafts import of_code, of_command
from tests.broker_proxy import BrokerProxy, proxy_to
from tests.broker_server import BrokerServer
from tests.eventually import eventually
from tests.integration.queues.conftest import FakeWorker


@pytest.fixture
def proxy(redis_client: redis.Redis, redis_url: str) -> Iterator[BrokerProxy]:
    with proxy_to(redis_url) as made:
        yield made


@pytest.fixture
def far_client(proxy: BrokerProxy, tmp_path: Path) -> Iterator[Client]:
    """A client behind the line that loses answers."""
    made = Client(settings=Settings(home=tmp_path, redis_url=proxy.url))
    # The script is with the server: what is lost below is the answer to a submit.
    made.submit_shell("true").cancel()
    yield made
    made.broker.redis.close()


def jobs_in(client: Client) -> int:
    """Count the jobs that have not been cancelled."""
    broker = client.broker
    keys = broker.redis.keys(broker.keys("job", "*"))
    return sum(broker.redis.hget(key, "state") != b"cancelled" for key in keys)


def test_the_client_asks_again_and_the_job_is_there_once(
    proxy: BrokerProxy, far_client: Client, client: Client
) -> None:
    proxy.lose(2)

    job = far_client.submit_code("print(1)", idempotency_key=None)

    assert proxy.lost == 2
    assert (job.state(), jobs_in(client)) == (State.QUEUED, 1)


def test_a_client_that_gives_up_tells_the_id_and_asking_again_with_it_makes_no_second_job(
    proxy: BrokerProxy, far_client: Client, client: Client
) -> None:
    proxy.lose(1_000)
    with pytest.raises(SubmitUncertain) as caught:
        far_client.submit_shell("true", group="g")
    assert proxy.lost > 1
    proxy.lose(0)

    job = far_client.submit_draft(of_command("true", group="g"), caught.value.job_id)

    assert (job.id, jobs_in(client)) == (caught.value.job_id, 1)
    assert client.cancel(group="g") == {"queued": 1}


def test_the_same_id_is_the_same_job_even_when_it_has_run_meanwhile(
    proxy: BrokerProxy, far_client: Client, client: Client, worker: FakeWorker
) -> None:
    proxy.lose(1_000)
    with pytest.raises(SubmitUncertain) as caught:
        far_client.submit_draft(of_code("print(1)", (), 1 << 20))
    proxy.lose(0)
    worker.finish(worker.claim(caught.value.job_id))

    job = far_client.submit_draft(of_code("print(1)", (), 1 << 20), caught.value.job_id)

    assert (job.state(), jobs_in(client)) == (State.SUCCEEDED, 1)


def test_of_many_jobs_those_in_doubt_are_named_and_sent_again_once_each(
    proxy: BrokerProxy, far_client: Client, client: Client
) -> None:
    drafts, ids = [of_command("true") for _ in range(250)], [new_job_id() for _ in range(250)]
    proxy.lose(1_000)
    with pytest.raises(SubmitUncertain) as caught:
        far_client.submit_many(drafts, job_ids=ids)
    proxy.lose(0)
    assert list(caught.value.job_ids) == ids

    far_client.submit_many(drafts, job_ids=ids)

    assert jobs_in(client) == 250


def test_a_rerun_in_doubt_is_one_job_too(proxy: BrokerProxy, far_client: Client, client: Client) -> None:
    old = client.submit_shell("true")
    proxy.lose(1)

    new = far_client.rerun(old.id)

    assert proxy.lost == 1
    assert (jobs_in(client), new.facts()["rerun_of"]) == (2, old.id)


def test_a_replay_in_doubt_is_one_job_too(
    proxy: BrokerProxy, far_client: Client, client: Client, worker: FakeWorker
) -> None:
    old = client.submit_shell("false")
    worker.finish(worker.claim(old.id), State.FAILED)
    proxy.lose(1_000)
    with pytest.raises(SubmitUncertain) as caught:
        far_client.dead.replay(old.id)
    proxy.lose(0)

    assert client.dead.ids() == [old.id]
    assert client.dead.replay(old.id).id == caught.value.job_id
    assert (jobs_in(client), client.dead.ids()) == (2, [])


def test_a_server_that_stands_still_has_the_job_once_when_it_goes_on(tmp_path: Path) -> None:
    server = BrokerServer()
    server.start()
    client = Client(settings=Settings(home=tmp_path, redis_url=server.url))
    client.submit_shell("true").cancel()
    server.send(signal.SIGSTOP)
    with pytest.raises(SubmitUncertain) as caught:
        client.submit_shell("true")
    server.send(signal.SIGCONT)

    job = client.submit_draft(of_command("true"), caught.value.job_id)

    eventually(lambda: jobs_in(client) == 1)
    assert job.state() is State.QUEUED
    client.broker.redis.close()
    server.remove()
