"""The server reaches its limit of memory: what runs ends and is recorded, what waits goes on."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import redis

from scriptfleet.domain.state import State
from scriptfleet.errors import BrokerFull
from scriptfleet.queues.job_handle import Job
from tests.broker_server import BrokerServer
from tests.e2e.test_fleet_runs_jobs import stored_runs
from tests.eventually import eventually
from tests.fleet_parts import Fleet, marked


@contextmanager
def full(broker: BrokerServer) -> Iterator[redis.Redis]:
    """Have the server refuse all that needs memory while the block lasts."""
    with redis.Redis.from_url(broker.url) as client:
        client.config_set("maxmemory", 1)
        try:
            yield client
        finally:
            client.config_set("maxmemory", 0)


def submitted(submit: Callable[[], Job]) -> Job:
    """Submit once there is room: how full the server is is known to be so for a second."""

    def ask() -> Job | bool:
        try:
            return submit()
        except BrokerFull:
            return False

    found = eventually(ask)
    assert isinstance(found, Job)
    return found


def test_jobs_end_and_the_queue_goes_on_while_the_server_is_full(fleet: Fleet, broker: BrokerServer) -> None:
    server, worker = fleet.server(), fleet.worker(slots=1)
    client = fleet.client()
    first = client.submit_shell("sleep 3; echo done", env={"MARK": "full-1"})
    waiting = [client.submit_shell(f"sleep 0.2; echo {number}") for number in range(3)]
    eventually(lambda: marked("full-1"))

    with full(broker):
        seen_at = fleet.view().workers()[0].seen_at_ms
        outcomes = [job.result(20).outcome for job in (first, *waiting)]
        eventually(lambda: fleet.view().workers()[0].seen_at_ms > seen_at)

    assert outcomes == [State.SUCCEEDED] * 4
    assert "output_kept_here" in worker.log()
    assert submitted(lambda: client.submit_shell("echo after")).result(30).stdout == "after\n"
    runs = eventually(lambda: [run for run in stored_runs(server) if run["outcome"]][4:] and stored_runs(server))
    assert [run["outcome"] for run in runs] == ["succeeded"] * 5
    assert not any(run["is_stale"] for run in runs)


def test_a_lease_is_renewed_while_the_server_is_full(fleet: Fleet, broker: BrokerServer) -> None:
    worker = fleet.worker(slots=1)
    job = fleet.client().submit_shell("sleep 18", env={"MARK": "full-2"})
    eventually(lambda: marked("full-2"))

    with full(broker):
        # Longer than the shortest lease.
        assert job.result(40).outcome is State.SUCCEEDED

    assert job.facts()["attempt"] == 1
    assert "lease_lost" not in worker.log()
