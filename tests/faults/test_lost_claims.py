"""The server comes back without its last second: a living run has its job back before anybody else claims it."""

import shutil
from pathlib import Path

from scriptfleet.domain.state import State
from tests.broker_server import BrokerServer
from tests.e2e.test_fleet_runs_jobs import stored_runs
from tests.eventually import eventually
from tests.fleet_parts import Fleet


def test_jobs_whose_claims_the_server_lost_are_not_claimed_by_others_while_their_runs_live(
    fleet: Fleet, broker: BrokerServer, tmp_path: Path
) -> None:
    server, starts = fleet.server(), tmp_path / "starts"
    jobs = [fleet.client().submit_shell(f"echo {number} >> {starts}; sleep 15") for number in range(2)]
    before = tmp_path / "before"
    shutil.copytree(broker.folder / "appendonlydir", before)
    workers = [fleet.worker(name, slots=2) for name in ("w1", "w2")]
    eventually(lambda: starts.exists() and len(starts.read_text().split()) == 2)

    broker.kill()
    shutil.rmtree(broker.folder / "appendonlydir")
    shutil.copytree(before, broker.folder / "appendonlydir")
    broker.start()

    assert [job.result(60).outcome for job in jobs] == [State.SUCCEEDED, State.SUCCEEDED]
    assert sorted(starts.read_text().split()) == ["0", "1"]
    assert all("server_changed" in worker.log() for worker in workers)
    runs = eventually(lambda: (found := stored_runs(server)) and all(run["outcome"] for run in found) and found)
    assert sorted((run["outcome"], run["is_stale"]) for run in runs) == [("succeeded", False)] * 2
