"""A worker that lives and reads no message finds out by itself, is not called ready, and ends for its supervisor."""

import os
import sys

import httpx
import pytest
import redis

from scriptfleet.domain.worker_state import WorkerState
from tests.broker_server import BrokerServer
from tests.e2e.test_drain import is_put_back, running, said_of
from tests.e2e.test_worker_health import url_of
from tests.eventually import eventually
from tests.fleet_parts import Fleet, Process, marked


def breakable(fleet: Fleet, how: str) -> Process:
    env = {"BREAK_HOW": how, "BREAK_AT": str(fleet.home / "break"), "SCRIPTFLEET_WORKER_HEALTH_PORT": "0"}
    times = {"SCRIPTFLEET_DEAF_SECONDS": "6", "SCRIPTFLEET_DRAIN_SECONDS": "1"}
    command = [sys.executable, "-m", "celery", "-A", "tests.faults.deaf_app", "worker", "-n", "w1@%h", "-c", "2"]
    worker = fleet.start("w1", *command, "--without-mingle", "-l", "INFO", env=env | times)
    fleet.await_worker("w1", worker)
    return worker


@pytest.mark.parametrize("how", ["hang", "forget"])
def test_a_worker_whose_loop_reads_no_message_ends_with_a_code_that_restarts_it(fleet: Fleet, how: str) -> None:
    worker = breakable(fleet, how)
    url = url_of(worker)
    job = running(fleet, "deaf-1")
    assert httpx.get(f"{url}/readyz", timeout=60).status_code == 200

    (fleet.home / "break").touch()

    eventually(lambda: said_of(fleet, "w1").state is WorkerState.DEAF, within=60)
    assert httpx.get(f"{url}/readyz", timeout=60).status_code == 503
    assert worker.popen.wait(40) == os.EX_TEMPFAIL
    assert "worker_deaf reason=no message was read for" in worker.log()
    assert marked("deaf-1") == []
    is_put_back(job)
    assert fleet.view().workers() == []


def test_a_worker_that_lost_its_connection_for_messages_makes_a_new_one(fleet: Fleet, broker: BrokerServer) -> None:
    worker = fleet.worker("w1")
    with redis.Redis.from_url(broker.url) as client:
        waiting = [one for one in client.client_list() if one["cmd"] == "brpop"]
        assert waiting
        for one in waiting:
            client.client_kill_filter(_id=one["id"])

    assert fleet.client().submit_shell("echo on").result(20).stdout == "on\n"
    assert worker.popen.poll() is None
    assert "worker_deaf" not in worker.log()


def test_a_busy_worker_is_not_taken_for_a_deaf_one(fleet: Fleet) -> None:
    worker = fleet.worker("w1", slots=1, env={"SCRIPTFLEET_DEAF_SECONDS": "2"})

    assert fleet.client().submit_shell("sleep 6; echo done").result(30).stdout == "done\n"

    assert fleet.client().submit_shell("echo on").result(20).stdout == "on\n"
    assert worker.popen.poll() is None


def test_a_worker_that_was_frozen_longer_than_its_patience_goes_on(fleet: Fleet) -> None:
    worker = fleet.worker("w1", env={"SCRIPTFLEET_DEAF_SECONDS": "3"})
    seen = said_of(fleet, "w1").seen_at_ms
    worker.send(19)
    try:
        with redis.Redis.from_url(fleet.redis_url) as client:
            eventually(lambda: client.time()[0] * 1000 > seen + 8000, within=60)
    finally:
        worker.send(18)

    assert fleet.client().submit_shell("echo on").result(20).stdout == "on\n"
    assert worker.popen.poll() is None
