"""A broker that is away, silent or wrong is told plainly and within seconds."""

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from scriptfleet import Client
from scriptfleet.config import Settings
from scriptfleet.domain.ids import new_job_id
from scriptfleet.errors import BrokerUnreachable, InvalidValue, SubmitUncertain
from scriptfleet.queues.connection import check_server
from scriptfleet.queues.drafts import of_command
from tests.integration.queues.conftest import FakeWorker

WITHIN_SECONDS = 5.0


def client_of(url: str, folder: Path) -> Client:
    return Client(settings=Settings(home=folder, redis_url=url))


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_broker_that_is_not_there_is_told_with_its_address(tmp_path: Path, closed_port: int) -> None:
    client = client_of(f"redis://:hidden@127.0.0.1:{closed_port}/0", tmp_path)
    started = time.monotonic()

    with pytest.raises(BrokerUnreachable, match=rf"127\.0\.0\.1:{closed_port}.*refused") as caught:
        client.submit_shell("true")

    assert time.monotonic() - started < WITHIN_SECONDS
    assert "hidden" not in str(caught.value)
    assert isinstance(caught.value, ConnectionError)


def test_a_submit_without_an_answer_is_uncertain_and_gives_the_id(tmp_path: Path, silent_port: int) -> None:
    client, job_id = client_of(f"redis://127.0.0.1:{silent_port}/0", tmp_path), new_job_id()
    started = time.monotonic()

    with pytest.raises(SubmitUncertain, match=job_id):
        client.submit_draft(of_command("true"), job_id)

    assert time.monotonic() - started < WITHIN_SECONDS
    client.broker.redis.close()


def test_a_script_whose_bytes_cannot_be_stored_is_not_uncertain(tmp_path: Path, silent_port: int) -> None:
    client = client_of(f"redis://127.0.0.1:{silent_port}/0", tmp_path)
    started = time.monotonic()

    with pytest.raises(BrokerUnreachable):
        client.submit_code("print(1)")

    assert time.monotonic() - started < WITHIN_SECONDS
    client.broker.redis.close()


def test_a_socket_that_is_not_there_is_told_with_its_path(tmp_path: Path) -> None:
    with pytest.raises(BrokerUnreachable, match=r"nothing\.sock"):
        client_of(f"unix://{tmp_path}/nothing.sock", tmp_path).submit_shell("true")


def test_asking_a_broker_that_is_away_is_told_the_same_way(tmp_path: Path, closed_port: int) -> None:
    job = client_of(f"redis://127.0.0.1:{closed_port}/0", tmp_path).job("x")

    for ask in (job.state, job.result, job.cancel, lambda: list(job.logs())):
        with pytest.raises(BrokerUnreachable):
            ask()


def test_an_address_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidValue, match="SCRIPTFLEET_REDIS_URL"):
        Client("http://example.com", settings=Settings(home=tmp_path))


def test_no_address_at_all_says_what_to_set(tmp_path: Path) -> None:
    with pytest.raises(InvalidValue, match="scriptfleet up"):
        Client(settings=Settings(home=tmp_path)).submit_shell("true")


def test_a_server_that_fits_tells_its_version(redis_client: redis.Redis, redis_url: str) -> None:
    assert int(check_server(redis_client, redis_url).split(".")[0]) >= 7


def test_a_server_that_forgot_the_scripts_is_taught_again(client: Client, redis_client: redis.Redis) -> None:
    client.submit_shell("true")
    redis_client.script_flush()

    assert client.submit_shell("true").state() == "queued"


def test_a_full_server_refuses_submits_and_lets_runs_end(client: Client, redis_client: redis.Redis) -> None:
    worker = FakeWorker(client.broker)
    job = client.submit_shell("true")
    redis_client.config_set("maxmemory", 1)
    try:
        with pytest.raises(BrokerUnreachable, match=r"OOM|maxmemory"):
            client.submit_shell("true")
        assert worker.finish(worker.claim(job.id))
    finally:
        redis_client.config_set("maxmemory", 0)
    assert job.state() == "succeeded"
