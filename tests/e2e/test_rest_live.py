"""The stream of what runs now, on a fleet of real processes."""

from collections.abc import Iterator

import httpx

from tests.eventually import eventually
from tests.fleet_parts import Fleet
from tests.sse import Event, followed


def until(events: Iterator[Event], job_id: str, outcome: str | None) -> Event:
    """Read on until a look tells that a run of the job is there, or ended so."""
    for one in events:
        told = one.data.get("runs", []) + one.data.get("changed", [])
        if any(run["job_id"] == job_id and run["outcome"] == outcome for run in told):
            return one
    raise AssertionError("the stream ended")


def test_whoever_watches_sees_runs_begin_and_end_and_what_they_use(fleet: Fleet) -> None:
    server = fleet.server()
    fleet.worker(slots=2)
    client = fleet.client()

    with followed(f"{server.url}/api/v1/live") as first, followed(f"{server.url}/api/v1/live") as second:
        assert next(first).name == next(second).name == "snapshot"
        long = client.submit_shell("exec sleep 60", name="long")
        for events in (first, second):
            until(events, long.id, None)
        run_id = long.facts()["run_id"]
        read = next(one for one in first if run_id in one.data["readings"])
        assert (read.data["readings"][run_id]["processes"], read.data["counts"]["running"]) == (1, 1)
        short = client.submit_shell("true")
        until(first, short.id, "succeeded")
        long.cancel()
        until(first, long.id, "cancelled")
        until(second, long.id, "cancelled")


def test_a_watcher_that_comes_after_a_while_without_any_gets_a_fresh_picture(fleet: Fleet) -> None:
    server = fleet.server()
    fleet.worker()
    with followed(f"{server.url}/api/v1/live") as events:
        assert next(events).data["runs"] == []
    job = fleet.client().submit_shell("exec sleep 60")
    eventually(lambda: job.state() == "running")

    with followed(f"{server.url}/api/v1/live") as events:
        until(events, job.id, None)

    job.cancel()
    assert httpx.get(f"{server.url}/healthz", timeout=60).status_code == 200
