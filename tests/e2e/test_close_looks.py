"""What is told of a run that somebody looks at closely, on a fleet of real processes."""

import re
import subprocess
import sys
from itertools import pairwise
from typing import Any

import httpx

from tests.eventually import eventually
from tests.fleet_parts import Fleet
from tests.sse import followed


def test_who_asks_for_the_processes_of_a_run_is_told_them_and_they_are_kept(fleet: Fleet) -> None:
    server = fleet.server()
    fleet.worker()
    job = fleet.client().submit_shell("sleep 61 & wait", name="tree")
    eventually(lambda: job.state() == "running")
    address = f"{server.url}/api/v1/runs/{job.facts()['run_id']}/processes"

    def told() -> dict[str, Any]:
        found = httpx.get(address, timeout=60).json()
        assert found["count"] == 2
        return dict(found)

    live = eventually(told)
    shown = status(fleet, job.id)
    assert re.search(r"^ +\d+ +\S+ +\S+ +\d+  \S*sh -c sleep 61 & wait", shown, re.MULTILINE), shown
    assert re.search(r"^ +\d+ +\S+ +\S+ +\d+    sleep 61$", shown, re.MULTILINE), shown
    assert re.search(r"^written so far +0.0 MiB$", shown, re.MULTILINE), shown
    job.cancel()
    kept = eventually(lambda: found if not (found := told())["is_live"] else {})

    assert live["is_live"] is True
    for tree in (live, kept):
        shell, sleep = tree["processes"]
        assert "sh -c sleep 61 & wait" in shell["command"]
        assert sleep["command"] == "sleep 61"
        assert sleep["parent_pid"] == shell["pid"]

    assert "sleep 61" in status(fleet, job.id)


def status(fleet: Fleet, job_id: str) -> str:
    command = [sys.executable, "-m", "scriptfleet", "status", "--processes", job_id]
    return subprocess.run(command, env=fleet.environment, capture_output=True, text=True, check=True).stdout


def test_a_run_that_nobody_looks_at_tells_no_processes_and_one_that_is_looked_at_tells_more_often(fleet: Fleet) -> None:
    server = fleet.server()
    fleet.worker()
    client = fleet.client()
    job = client.submit_shell("exec sleep 60", name="looked-at")
    eventually(lambda: job.state() == "running")
    run_id, broker = job.facts()["run_id"], client.broker
    # The first reading comes with the first renewal.
    eventually(lambda: broker.redis.hexists(broker.keys("live"), job.id))
    assert broker.close_looks.processes(run_id) is None

    with followed(f"{server.url}/runs/{run_id}/events") as events:
        readings = [one.data for one in events_of(events, "reading", 3)]
        assert [len(one.data["rows"]) for one in events_of(events, "processes", 1)] == [1]
    job.cancel()

    # Leases alone are renewed every five seconds of the run's own time.
    assert min(after["seconds"] - before["seconds"] for before, after in pairwise(readings)) < 4
    assert readings[-1]["block_io_write_bytes"] is not None


def events_of(events: Any, name: str, count: int) -> list[Any]:
    found: list[Any] = []
    while len(found) < count:
        one = next(events)
        found += [one] if one.name == name else []
    return found
