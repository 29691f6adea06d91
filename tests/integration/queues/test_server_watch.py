"""Whoever comes to a server that has just come back waits for the runs that it may have forgotten."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from scriptfleet import Client
from scriptfleet.config import Settings
from scriptfleet.queues.server_watch import ServerWatch
from tests.broker_server import BrokerServer
from tests.eventually import eventually


@pytest.fixture
def server() -> Iterator[BrokerServer]:
    made = BrokerServer()
    made.start()
    yield made
    made.remove()


def watch_of(client: Client) -> ServerWatch:
    """Give a watch that has seen its server."""
    watch = ServerWatch(client.broker.redis, client.broker.keys)
    client.broker.redis.ping()
    return watch


def test_one_that_comes_just_after_a_server_came_back_with_its_data_claims_nothing_for_a_moment(
    server: BrokerServer, tmp_path: Path
) -> None:
    client = Client(settings=Settings(home=tmp_path, redis_url=server.url))
    client.submit_shell("true")
    client.broker.redis.close()
    server.kill()
    server.start()

    watch = watch_of(client)

    assert watch.is_settling()
    assert watch.changes == 0
    eventually(lambda: not watch.is_settling())


def test_one_that_comes_to_a_new_server_or_to_one_that_has_been_up_for_a_while_waits_for_nothing(
    server: BrokerServer, tmp_path: Path
) -> None:
    client = Client(settings=Settings(home=tmp_path, redis_url=server.url))
    assert not watch_of(client).is_settling()

    client.submit_shell("true")
    with redis.Redis.from_url(server.url) as other:
        eventually(lambda: other.info("server")["uptime_in_seconds"] >= 3)

    assert not watch_of(client).is_settling()


class Hiding(redis.UnixDomainSocketConnection):
    """A line on which the server does not tell who it is, nor since when."""

    def read_response(self, *arguments: Any, **options: Any) -> Any:
        answer = super().read_response(*arguments, **options)
        if not isinstance(answer, bytes) or not answer.startswith(b"# Server"):
            return answer
        lines = answer.splitlines(keepends=True)
        return b"".join(line for line in lines if not line.startswith((b"run_id:", b"uptime_in_seconds:")))


def test_where_the_server_hides_who_it_is_it_is_used_as_one_that_has_been_up_for_a_while(
    server: BrokerServer, tmp_path: Path
) -> None:
    client = Client(settings=Settings(home=tmp_path, redis_url=server.url))
    job = client.submit_shell("true")
    pool = client.broker.redis.connection_pool
    pool.connection_class = Hiding

    watch = watch_of(client)
    pool.disconnect()
    assert client.job(job.id).id == job.id
    assert "run_id" not in client.broker.redis.info("server")
    assert (watch.is_settling(), watch.changes) == (False, 0)


def test_one_who_may_not_ask_the_server_who_it_is_says_so_and_works(
    server: BrokerServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with redis.Redis.from_url(server.url) as admin:
        admin.acl_setuser(
            "few", enabled=True, passwords=["+word"], categories=["+@all"], commands=["-info"], keys=["*"]
        )
    client = Client(settings=Settings(home=tmp_path, redis_url=f"{server.url}?username=few&password=word"))

    watch = watch_of(client)

    assert client.broker.redis.ping()
    assert (watch.is_settling(), watch.changes) == (False, 0)
    assert "server_not_told_apart" in caplog.text
