"""Several workers on one machine, and a broker on its socket: names, passwords and databases are kept apart."""

import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from scriptfleet.domain.state import State
from scriptfleet_workers.celery_config import broker_url
from tests.broker_server import BrokerServer
from tests.eventually import eventually
from tests.fleet_parts import Fleet


@pytest.fixture
def guarded(sqlite_url: str, tmp_path: Path) -> Iterator[Fleet]:
    """A fleet on a socket, behind a password, in another database than the first."""
    server = BrokerServer()
    server.start()
    with redis.Redis.from_url(server.url) as client:
        client.config_set("requirepass", "p@ss/w:rd")
    url = f"unix://:p%40ss%2Fw%3Ard@{server.url.removeprefix('unix://')}?db=3"
    fleet = Fleet(tmp_path, url, f"t{uuid.uuid4().hex[:12]}", sqlite_url)
    yield fleet
    fleet.stop()
    server.remove()


def test_a_socket_with_a_password_and_a_database_serves_celery_too(guarded: Fleet) -> None:
    worker = guarded.worker(slots=1)

    assert guarded.client().submit_shell("echo here").result(20).stdout == "here\n"
    assert "Task echo[" in worker.log()
    assert "p@ss" not in worker.log()
    client = guarded.client().broker.redis
    assert client.connection_pool.connection_kwargs["db"] == 3
    assert client.info("keyspace").keys() == {"db3"}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("redis://h:1/2", "redis://h:1/2"),
        ("unix:///run/r.sock", "redis+socket:///run/r.sock"),
        ("unix:///run/r.sock?db=3&password=a/b", "redis+socket://:a%2Fb@/run/r.sock?virtual_host=3"),
        ("unix://me:pw@/run/r.sock?db=0", "redis+socket://me:pw@/run/r.sock"),
    ],
)
def test_an_address_says_the_same_to_celery(given: str, expected: str) -> None:
    assert broker_url(given) == expected


def test_two_workers_of_one_name_are_two_entries_in_the_list(fleet: Fleet) -> None:
    first = fleet.worker("same", slots=1)
    command = [sys.executable, "-m", "celery", "-A", "scriptfleet_workers.app", "worker", "-n", "same@%h", "-c", "3"]
    second = fleet.start("second", *command, "--without-mingle", "--without-gossip")

    workers = eventually(lambda: len(found := fleet.view().workers()) == 2 and found, within=60)

    assert {worker.slots for worker in workers} == {1, 3}
    assert {worker.name.partition("#")[2] for worker in workers} == {"", str(second.pid)}
    assert fleet.client().submit_shell("true").result(20).outcome is State.SUCCEEDED
    assert first.end() == 0
    eventually(lambda: [worker.slots for worker in fleet.view().workers()] == [3])


def test_a_worker_that_comes_again_after_a_crash_has_its_name_again(fleet: Fleet) -> None:
    fleet.worker("again", slots=1).end(9)

    second = fleet.worker("again", slots=2)

    eventually(lambda: [worker.slots for worker in fleet.view().workers()] == [2])
    assert "name_taken" not in second.log()
