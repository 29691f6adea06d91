"""The server nears its limit of memory: readings go first, then output waits on disks, then submits; outcomes never."""

import json
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from scriptfleet.domain.state import State
from scriptfleet.errors import BrokerFull
from scriptfleet.queues.drafts import of_command
from tests.broker_server import BrokerServer
from tests.e2e.test_drain import running, scriptfleet
from tests.e2e.test_fleet_runs_jobs import stored_runs
from tests.eventually import eventually
from tests.faults.test_full_server import full, submitted
from tests.fleet_parts import Fleet

#: What fills the server: so much that all else it holds is a small share of it.
_FILLER_BYTES = 40 << 20


@contextmanager
def filled(broker: BrokerServer, percent: float) -> Iterator[redis.Redis]:
    """Have the server hold so many percent of its memory limit while the block lasts."""
    with redis.Redis.from_url(broker.url) as client:
        client.setrange("filler", _FILLER_BYTES, b"x")
        client.config_set("maxmemory", round(client.info("memory")["used_memory"] * 100 / percent))
        try:
            yield client
        finally:
            client.config_set("maxmemory", 0)
            client.delete("filler")


def test_from_75_percent_readings_are_dropped_and_from_there_on_come_back(fleet: Fleet, broker: BrokerServer) -> None:
    fleet.worker("w1", slots=1)
    live = fleet.client().broker.keys("live")
    job = running(fleet, "nearly-1", "while :; do sleep 0.1; done")
    with filled(broker, 77) as client:
        eventually(lambda: not client.hexists(live, job.id), within=60)
        assert fleet.client().submit_shell("true").state() is State.QUEUED
    eventually(lambda: client.hexists(live, job.id), within=60)
    assert job.cancel()


def test_from_80_percent_output_waits_on_the_workers_disk_and_is_sent_when_there_is_room(
    fleet: Fleet, broker: BrokerServer
) -> None:
    server, worker = fleet.server(), fleet.worker("w1", slots=1)
    with filled(broker, 84) as client:
        eventually(lambda: "output_kept_here=True" in worker.log())
        job = fleet.client().submit_shell("sleep 1; yes | head -c 600000; exit 3")

        result = job.result(20)

        assert (result.outcome, result.exit_code) == (State.FAILED, 3)
        assert not list(client.scan_iter(f"{fleet.client().broker.keys('output')}:*"))
        eventually(lambda: [run for run in stored_runs(server) if run["outcome"] == "failed"])
        eventually(lambda: list((fleet.home / "spool").glob("*/report.json")))
        assert len(server.get(f"/api/v1/runs/{result.run_id}/output").content) < 600_000

    # The next worker of this home sends it, as this one would within half a minute.
    worker.end(signal.SIGTERM)
    fleet.worker("w2")

    eventually(lambda: len(server.get(f"/api/v1/runs/{result.run_id}/output").content) == 600_000, within=60)
    eventually(lambda: not list((fleet.home / "spool").glob("*/report.json")))
    runs = stored_runs(server)
    assert [(run["outcome"], run["is_stale"]) for run in runs] == [("failed", False)]


@pytest.mark.parametrize("percent", [92, 120])
def test_from_90_percent_submits_are_refused_and_what_is_there_ends(
    fleet: Fleet, broker: BrokerServer, tmp_path: Path, percent: int
) -> None:
    server = fleet.server()
    fleet.worker("w1", slots=1)
    script = tmp_path / "some.py"
    script.write_text("print('some')")
    job = running(fleet, "nearly-2", "sleep 3; exit 4")
    with filled(broker, percent) as client:
        for submit in (lambda: fleet.client().submit_shell("true"), lambda: fleet.client().submit(script)):
            with pytest.raises(BrokerFull, match=r"takes no new job: \d+ % of its memory limit"):
                eventually(lambda submit=submit: submit() and False, within=5)
        told = scriptfleet(fleet, "submit", "--shell", "true")
        assert told.returncode == 125
        assert "takes no new job" in told.stderr
        assert not list(client.scan_iter(f"{fleet.client().broker.keys('blob')}:*"))

        assert job.result(20).outcome is State.FAILED
        eventually(lambda: [run for run in stored_runs(server) if run["outcome"] == "failed"])

    assert submitted(lambda: fleet.client().submit(script)).result(20).stdout == "some\n"


def test_a_worker_starts_and_connects_again_while_the_server_is_full(fleet: Fleet, broker: BrokerServer) -> None:
    waiting = fleet.client().submit_shell("echo waited")
    with full(broker) as client:
        worker = fleet.worker("w1", slots=1)
        assert waiting.result(20).stdout == "waited\n"
        for one in client.client_list():
            if one["cmd"] == "brpop":
                client.client_kill_filter(_id=one["id"])
        with full(broker):
            pass
        assert worker.popen.poll() is None

    assert submitted(lambda: fleet.client().submit_shell("echo on")).result(20).stdout == "on\n"
    assert worker.popen.poll() is None


def test_how_full_it_is_costs_no_look_a_submit(fleet: Fleet, broker: BrokerServer) -> None:
    """The server's statistics take it tens of microseconds; a submit must not pay them each time."""
    with filled(broker, 50) as client:
        client.config_resetstat()
        for _ in range(50):
            fleet.client().submit_shell("true")
        calls = client.info("commandstats").get("cmdstat_info", {}).get("calls", 0)

    assert calls < 25
    assert json.loads(scriptfleet(fleet, "status", "--json").stdout)["queues"]["default"]["ready"] > 0


def test_a_job_that_was_claimed_along_runs_at_once_also_where_the_report_before_it_breaks_off(
    fleet: Fleet, broker: BrokerServer
) -> None:
    worker, spool = fleet.worker("w1", slots=1), fleet.home / "spool"
    with filled(broker, 84):
        eventually(lambda: "output_kept_here=True" in worker.log())
        shutil.rmtree(spool)
        spool.write_text("no folder")
        jobs = fleet.client().submit_many([of_command(f"echo {number}") for number in range(40)])

        assert {job.result(60).outcome for job in jobs} == {State.SUCCEEDED}

    assert "run_broke_off" in worker.log()
    assert sum(job.facts()["losses"] for job in jobs) == 0
