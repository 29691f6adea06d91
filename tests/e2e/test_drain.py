"""A worker leaves: what runs may finish for a while, and what it does not finish goes to others, as nobody's fault."""

import json
import signal
import subprocess
import sys

import pytest

from scriptfleet.domain.state import State
from scriptfleet.domain.worker_state import WorkerState
from scriptfleet.queues.fleet import WorkerInfo
from scriptfleet.queues.job_handle import Job
from tests.e2e.test_fleet_runs_jobs import stored_runs
from tests.eventually import eventually
from tests.fleet_parts import Fleet, Process, marked

LONG = {"SCRIPTFLEET_DRAIN_SECONDS": "300"}


def scriptfleet(fleet: Fleet, *words: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "scriptfleet", *words]
    return subprocess.run(command, env=fleet.environment, capture_output=True, text=True, check=False)


def said_of(fleet: Fleet, name: str) -> WorkerInfo:
    return next(worker for worker in fleet.view().workers() if worker.name.startswith(f"{name}@"))


def running(fleet: Fleet, marker: str, command: str = "sleep 300", **options: object) -> Job:
    job = fleet.client().submit_shell(command, env={"MARK": marker}, **options)
    eventually(lambda: marked(marker) and job.state() is State.RUNNING)
    return job


def is_put_back(job: Job) -> None:
    facts = job.facts()
    assert (facts["state"], facts["losses"], facts["attempt"]) == (State.QUEUED, 0, 0)


def test_the_end_of_the_grace_ends_what_runs_and_the_next_worker_has_it_at_once(fleet: Fleet) -> None:
    server, worker = fleet.server(), fleet.worker("w1", env={"SCRIPTFLEET_DRAIN_SECONDS": "1"})
    job = running(fleet, "drain-1", "trap '' TERM; sleep 2; echo ran", grace=0.5)

    assert worker.end(signal.SIGTERM, within=60) == 0

    assert marked("drain-1") == []
    is_put_back(job)
    assert "drain_ends_runs reason=its time is over" in worker.log()
    fleet.worker("w2")
    # Sooner than a lease or a doubted message would take.
    result = job.result(8)
    assert (result.outcome, result.attempts, result.stdout) == (State.SUCCEEDED, 1, "ran\n")
    runs = eventually(lambda: [run for run in stored_runs(server) if run["outcome"]][1:] and stored_runs(server))
    assert sorted(run["outcome"] for run in runs) == ["lost", "succeeded"]


def test_a_second_sigterm_ends_what_runs(fleet: Fleet) -> None:
    worker = fleet.worker("w1", env=LONG)
    job = running(fleet, "drain-2")

    worker.send(signal.SIGTERM)
    eventually(lambda: said_of(fleet, "w1").state is WorkerState.DRAINING)
    assert marked("drain-2")

    assert worker.end(signal.SIGTERM, within=60) == 0
    assert marked("drain-2") == []
    is_put_back(job)


def test_ctrl_c_twice_ends_what_runs_and_gives_it_back(fleet: Fleet) -> None:
    worker = fleet.worker("w1", env=LONG)
    job = running(fleet, "drain-3")

    worker.send(signal.SIGINT)
    eventually(lambda: said_of(fleet, "w1").state is WorkerState.DRAINING)
    worker.end(signal.SIGINT, within=60)

    assert marked("drain-3") == []
    is_put_back(job)


def test_sigquit_is_celerys_cold_shutdown_and_gives_jobs_back(fleet: Fleet) -> None:
    worker = fleet.worker("w1", env=LONG)
    jobs = [running(fleet, f"drain-4-{number}") for number in range(2)]

    worker.end(signal.SIGQUIT, within=60)

    assert marked("drain-4-") == []
    for job in jobs:
        is_put_back(job)


def test_a_draining_worker_keeps_no_message_from_the_others(fleet: Fleet) -> None:
    """One slot is free, so a message may be on its way to the worker when the signal comes."""
    worker = fleet.worker("w1", slots=2, env=LONG)
    long = running(fleet, "drain-5")
    fleet.worker("w2", slots=2)

    worker.send(signal.SIGTERM)
    late = [fleet.client().submit_shell("echo late") for _ in range(20)]

    # Sooner than a message that somebody held back would be sent again.
    assert {job.result(6).stdout for job in late} == {"late\n"}
    assert long.state() is State.RUNNING
    assert {job.facts()["worker"].split("@")[0] for job in late[5:]} == {"w2"}
    worker.end(signal.SIGTERM, within=60)
    eventually(lambda: marked("drain-5") and long.facts()["worker"].startswith("w2@"), within=60)


@pytest.mark.parametrize("name", ["plain celery", "scriptfleet worker"])
def test_a_worker_is_drained_from_anywhere_and_exits_with_zero(fleet: Fleet, name: str) -> None:
    worker = fleet.worker("w1", env=LONG) if name == "plain celery" else own_worker(fleet)
    job = running(fleet, "drain-6", "sleep 2; echo finished")

    told = scriptfleet(fleet, "workers", "drain", "w1", "--grace", "60")

    assert (told.returncode, told.stdout) == (0, "")
    assert "told to drain" in told.stderr
    assert worker.popen.wait(60) == 0
    assert job.result(1).stdout == "finished\n"
    assert "drain_begun seconds=60" in worker.log()
    # The order was for that process alone.
    again = fleet.worker("w1")
    assert fleet.client().submit_shell("echo on").result(10).stdout == "on\n"
    assert again.popen.poll() is None


def test_the_grace_of_an_order_to_drain_ends_what_runs(fleet: Fleet) -> None:
    worker = fleet.worker("w1", env=LONG)
    job = running(fleet, "drain-7")

    scriptfleet(fleet, "workers", "drain", said_of(fleet, "w1").name, "--grace", "0")

    assert worker.popen.wait(60) == 0
    is_put_back(job)


def test_a_cordoned_worker_takes_nothing_until_it_is_uncordoned(fleet: Fleet) -> None:
    fleet.worker("w1", slots=1)
    running_one = running(fleet, "cordon-1", "sleep 3; echo done")

    scriptfleet(fleet, "workers", "cordon", "w1")
    eventually(lambda: said_of(fleet, "w1").state is WorkerState.CORDONED)
    waiting = fleet.client().submit_shell("echo after")

    assert running_one.result(10).stdout == "done\n"
    seen = said_of(fleet, "w1").seen_at_ms
    eventually(lambda: said_of(fleet, "w1").seen_at_ms > seen + 2000)
    assert waiting.state() is State.QUEUED
    scriptfleet(fleet, "workers", "uncordon", "w1")
    assert waiting.result(10).stdout == "after\n"
    eventually(lambda: said_of(fleet, "w1").state is WorkerState.READY)


def test_a_cordon_stays_with_the_name_when_its_worker_starts_anew(fleet: Fleet) -> None:
    first = fleet.worker("w1")
    scriptfleet(fleet, "workers", "cordon", "w1")
    eventually(lambda: said_of(fleet, "w1").state is WorkerState.CORDONED)
    first.end(signal.SIGTERM)

    fleet.worker("w1")

    eventually(lambda: said_of(fleet, "w1").state is WorkerState.CORDONED)


def own_worker(fleet: Fleet) -> Process:
    process = fleet.start("w1", sys.executable, "-m", "scriptfleet", "worker", "--name", "w1", "--drain-seconds", "5m")
    fleet.await_worker("w1", process)
    return process


def test_signals_reach_the_worker_of_the_command_line(fleet: Fleet) -> None:
    worker = own_worker(fleet)
    job = running(fleet, "drain-8", "sleep 2; echo finished")

    assert worker.end(signal.SIGTERM, within=60) == 0

    assert job.result(1).stdout == "finished\n"


def test_workers_are_listed_with_what_they_run_and_how_busy_they_are(fleet: Fleet) -> None:
    fleet.worker("a-worker-with-quite-a-long-name", slots=3, queues="default,reports,nightly-imports")
    fleet.worker("w2")
    job = running(fleet, "listed-1")

    def listed() -> dict[str, object]:
        workers = json.loads(scriptfleet(fleet, "workers", "ls", "--json").stdout)
        return next((worker for worker in workers if worker["jobs"] == [job.id]), {})

    found = eventually(listed)
    assert found["state"] == "ready"
    assert found["started_at"] > 1e9
    assert 0 <= found["memory_percent"] <= 100
    table = scriptfleet(fleet, "workers", "ls").stdout
    assert max(map(len, table.splitlines())) <= 80
    assert "ready" in table
    assert "1/" in table
    shown = scriptfleet(fleet, "workers", "show", str(found["name"])).stdout
    assert job.id in shown
    assert "host memory" in shown


def test_a_worker_that_is_not_there_is_told_with_those_that_are(fleet: Fleet) -> None:
    fleet.worker("w1")

    told = scriptfleet(fleet, "workers", "cordon", "w7")

    assert told.returncode == 2
    assert "'w7' is not accepted: expected one that is alive: w1@" in told.stderr
