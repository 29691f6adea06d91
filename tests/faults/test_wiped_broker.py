"""The broker is wiped, or replaced by an empty one: what the store knows as unfinished ends, each job once."""

import shutil
import signal
from pathlib import Path

from scriptfleet.domain.state import State
from scriptfleet.queues.job_handle import Job
from tests.broker_server import BrokerServer
from tests.e2e.test_fleet_runs_jobs import stored_runs
from tests.eventually import eventually
from tests.fleet_parts import Fleet, Server, marked

_WAITING = 40


def submitted(fleet: Fleet, folder: Path, running: int) -> dict[str, list[Job]]:
    """Submit jobs that each note their start in a file of their own: some run, some wait, some are delayed."""
    client = fleet.client()

    def submit(name: str, more: str, **options: float) -> Job:
        return client.submit_shell(
            f"echo started >> {folder / name}; {more}", name=name, env={"MARK": "wipe"}, **options
        )

    jobs = {"running": [submit(f"running-{number}", "sleep 12") for number in range(running)]}
    eventually(lambda: len(marked("wipe")) >= running, within=60)
    jobs["waiting"] = [submit(f"waiting-{number}", "true", queue="later") for number in range(_WAITING)]
    soon = client.broker.redis.time()[0] + 12
    jobs["delayed"] = [submit(f"delayed-{number}", "true", queue="later", not_before=soon) for number in range(6)]
    return jobs


def stored(fleet: Fleet) -> bool:
    """Tell whether the store has all that the broker told."""
    broker = fleet.client().broker
    return bool(broker.redis.xlen(broker.keys("events")) == 0)


def states(server: Server) -> dict[str, str]:
    found = server.get("/api/v1/jobs", limit=200).json()["jobs"]
    return {job["job_id"]: job["state"] for job in found}


def starts(folder: Path, name: str) -> int:
    path = folder / name
    return len(path.read_text().splitlines()) if path.exists() else 0


def test_all_jobs_end_once_after_flushall(fleet: Fleet, tmp_path: Path) -> None:
    one, other = fleet.server("one"), fleet.server("other")
    fleet.worker("w1", slots=4)
    jobs = submitted(fleet, tmp_path, running=4)
    eventually(lambda: stored(fleet) and len(states(one)) == 50 and list(states(one).values()).count("running") == 4)

    fleet.client().broker.redis.flushall()
    fleet.worker("w2", slots=4, queues="default,later")

    wanted = {job.id: str(State.SUCCEEDED) for group in jobs.values() for job in group}
    eventually(lambda: states(one) == wanted, within=90, every=0.3)
    told = one.process.log() + other.process.log()
    assert told.count(" broker_wiped ") == told.count(" broker_restored ") == 1
    for job in jobs["waiting"] + jobs["delayed"]:
        assert told.count(f"job_restored job={job.id}") == 1
    names = [f"{group}-{number}" for group, members in jobs.items() for number in range(len(members))]
    assert {name: starts(tmp_path, name) for name in names} == dict.fromkeys(names, 1)


def test_all_jobs_end_once_when_the_server_and_a_worker_are_replaced(
    fleet: Fleet, broker: BrokerServer, tmp_path: Path
) -> None:
    server, worker = fleet.server(), fleet.worker("w1", slots=4)
    jobs = submitted(fleet, tmp_path, running=4)
    eventually(lambda: stored(fleet) and len(states(server)) == 50)
    eventually(lambda: list(states(server).values()).count("running") == 4)

    worker.end(signal.SIGKILL)
    broker.kill()
    for path in broker.folder.glob("appendonly*"):
        shutil.rmtree(path)
    broker.start()
    fleet.worker("w2", slots=4, queues="default,later")

    wanted = {job.id: str(State.SUCCEEDED) for group in jobs.values() for job in group}
    eventually(lambda: states(server) == wanted, within=120, every=0.3)
    told = server.process.log()
    assert told.count(" broker_wiped ") == told.count(" broker_restored ") == 1
    assert all(told.count(f"job_restored job={job.id}") == 1 for group in jobs.values() for job in group)
    for group, often in (("waiting", 1), ("delayed", 1), ("running", 2)):
        assert [starts(tmp_path, f"{group}-{number}") for number in range(len(jobs[group]))] == [often] * len(
            jobs[group]
        )
    runs = stored_runs(server)
    assert sorted(run["outcome"] for run in runs) == ["lost"] * 4 + ["succeeded"] * 50
