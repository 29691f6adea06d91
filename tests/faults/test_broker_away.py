"""The broker goes away: nothing is lost, nothing is recorded twice, and the log says why."""

import signal
from pathlib import Path

from scriptfleet.domain.state import State
from tests.broker_server import BrokerServer
from tests.e2e.test_fleet_runs_jobs import stored_runs
from tests.eventually import eventually
from tests.fleet_parts import Fleet, marked


def test_a_run_that_ends_while_the_broker_is_away_is_reported_when_it_is_back(
    fleet: Fleet, broker: BrokerServer, tmp_path: Path
) -> None:
    server, worker = fleet.server(), fleet.worker(slots=1)
    starts = tmp_path / "starts"
    job = fleet.client().submit_shell(f"echo one >> {starts}; sleep 2; echo done", env={"MARK": "away-1"})
    eventually(lambda: marked("away-1"))

    broker.kill()
    eventually(lambda: marked("away-1") == [])
    eventually(lambda: "report_waits" in worker.log())
    broker.start()

    assert job.result(40).stdout == "done\n"
    runs = eventually(lambda: [run for run in stored_runs(server) if run["outcome"]], within=60)
    assert [run["outcome"] for run in runs] == ["succeeded"]
    assert starts.read_text() == "one\n"
    assert "broker_away" in worker.log()


def test_a_report_outlives_its_worker_when_the_broker_is_away(fleet: Fleet, broker: BrokerServer) -> None:
    server, worker = fleet.server(), fleet.worker(slots=1)
    job = fleet.client().submit_shell("sleep 1; echo kept", env={"MARK": "away-2"})
    eventually(lambda: marked("away-2"))

    broker.kill()
    eventually(lambda: "report_waits" in worker.log(), within=60)
    worker.end(signal.SIGTERM, within=60)
    assert "report_spooled" in worker.log()
    broker.start()
    fleet.worker("w2", slots=1)

    result = job.result(30)
    assert (result.outcome, result.stdout) == (State.SUCCEEDED, "kept\n")
    runs = eventually(lambda: [run for run in stored_runs(server) if run["outcome"]], within=60)
    assert [(run["outcome"], run["is_stale"]) for run in runs] == [("succeeded", False)]
    assert "report_sent_late" in (fleet.home / "w2.log").read_text()


def test_a_worker_frozen_past_its_lease_has_no_script_when_the_next_run_starts(fleet: Fleet, tmp_path: Path) -> None:
    server, frozen = fleet.server(), fleet.worker("w1", slots=1)
    log = tmp_path / "overlap"
    script = f"echo start $SCRIPTFLEET_RUN_ID >> {log}; sleep 25; echo end $SCRIPTFLEET_RUN_ID >> {log}"
    job = fleet.client().submit_shell(script, env={"MARK": "frozen-1"})
    eventually(lambda: marked("frozen-1"))
    first = job.facts()["run_id"]

    frozen.send(signal.SIGSTOP)
    fleet.worker("w2", slots=1)

    eventually(lambda: job.facts()["run_id"] != first, within=60)
    running = [pid for pid in marked("frozen-1") if first.encode() in Path(f"/proc/{pid}/environ").read_bytes()]
    assert running == []
    frozen.send(signal.SIGCONT)
    assert job.result(60).outcome is State.SUCCEEDED
    lines = log.read_text().splitlines()
    assert lines == [f"start {first}", f"start {job.facts()['run_id']}", f"end {job.facts()['run_id']}"]

    def both_told() -> bool:
        told = {run["run_id"]: (run["outcome"], run["is_stale"]) for run in stored_runs(server)}
        return told.get(first, ("", 0))[0] == "lost" and told[job.facts()["run_id"]] == ("succeeded", False)

    eventually(both_told, within=60)


def test_a_run_goes_on_and_is_recorded_once_when_the_server_is_wiped(fleet: Fleet, broker: BrokerServer) -> None:
    server, worker = fleet.server(), fleet.worker(slots=1)
    client = fleet.client()
    job = client.submit_shell("sleep 9; echo survived", env={"MARK": "wiped-1"})
    eventually(lambda: marked("wiped-1") and stored_runs(server))

    client.broker.redis.flushall()
    eventually(lambda: "claim_reasserted" in worker.log())

    assert job.state() is State.RUNNING
    assert job.result(40).stdout == "survived\n"
    runs = eventually(lambda: [run for run in stored_runs(server) if run["outcome"]], within=60)
    assert [(run["outcome"], run["is_stale"]) for run in runs] == [("succeeded", False)]
    assert server.get(f"/api/v1/jobs/{job.id}").json()["state"] == "succeeded"
