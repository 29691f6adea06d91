"""Two results services at once, the database away, one of them killed: each fact is stored once, and health says so."""

import signal
import sqlite3
from contextlib import closing
from datetime import datetime

from scriptfleet.domain.state import State
from tests.e2e.test_fleet_runs_jobs import stored_runs
from tests.eventually import eventually
from tests.fleet_parts import Fleet


def test_two_services_store_each_run_once_while_the_database_is_away_and_one_is_killed(fleet: Fleet) -> None:
    one, other = fleet.server("one"), fleet.server("other")
    fleet.worker("w1", slots=2)
    client = fleet.client()
    events = client.broker.keys("events")
    first = [client.submit_shell(f"echo {number}") for number in range(30)]
    assert {job.result(60).outcome for job in first} == {State.SUCCEEDED}

    path = fleet.database_url.removeprefix("sqlite:///")
    with closing(sqlite3.connect(path, isolation_level=None)) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        jobs = [client.submit_shell(f"echo {number}") for number in range(30)]
        assert {job.result(60).outcome for job in jobs} == {State.SUCCEEDED}
        # The stream holds what nobody could store, and whoever asks is told so.
        eventually(lambda: one.get("/readyz").status_code == other.get("/readyz").status_code == 503, within=60)
        assert client.broker.redis.xlen(events) >= 30
        one.process.end(signal.SIGKILL)
        holder.execute("ROLLBACK")
    again = fleet.server("again", port=int(one.url.rpartition(":")[2]))

    eventually(lambda: client.broker.redis.xlen(events) == 0, within=60)
    runs = stored_runs(other)
    assert sorted(run["job_id"] for run in runs) == sorted(job.id for job in first + jobs)
    assert {(run["outcome"], run["is_stale"]) for run in runs} == {("succeeded", False)}
    # Not as text: of a whole second the fraction is not written.
    assert all(datetime.fromisoformat(run["claimed_at"]) <= datetime.fromisoformat(run["finished_at"]) for run in runs)
    eventually(lambda: other.get("/readyz").status_code == again.get("/readyz").status_code == 200)
    assert "ingest_waits" in other.process.log()
    assert "ingest_goes_on" in other.process.log()
