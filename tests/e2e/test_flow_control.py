"""Limits, rates, shares, pauses and placement hold on two workers that know nothing of each other."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from scriptfleet.domain.state import State
from scriptfleet.queues.drafts import of_command
from tests.eventually import eventually
from tests.fleet_parts import Fleet, stopped


def stamping(log: Path, seconds: float) -> str:
    """Give a command that writes when it began and when it ended, nanoseconds, and nothing between."""
    return f"b=$(date +%s%N); sleep {seconds}; echo $b $(date +%s%N) >> {log}"


def most_at_once(log: Path) -> int:
    spans = [line.split() for line in log.read_text().splitlines()]
    moments = sorted([(int(begin), 1) for begin, _ in spans] + [(int(end), -1) for _, end in spans])
    running = most = 0
    for _, change in moments:
        running += change
        most = max(most, running)
    return most


def call(fleet: Fleet, *words: str, code: int = 0) -> str:
    command = [sys.executable, "-m", "scriptfleet", *words]
    done = subprocess.run(
        command, env=fleet.environment, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
    )
    assert done.returncode == code, done.stderr
    return done.stdout + done.stderr


def two_workers(fleet: Fleet, slots: int = 4) -> None:
    fleet.worker("w1", slots=slots)
    fleet.worker("w2", slots=slots)


def test_a_limit_of_two_is_never_exceeded_over_forty_jobs(fleet: Fleet) -> None:
    two_workers(fleet)
    log = fleet.home / "stamps"
    options = {"concurrency_key": "db", "concurrency_limit": 2}
    jobs = fleet.client().submit_many([of_command(stamping(log, 0.05), **options) for _ in range(40)])  # type: ignore[arg-type]
    results = [job.result(60) for job in jobs]

    assert {result.outcome for result in results} == {State.SUCCEEDED}
    assert len(log.read_text().splitlines()) == 40
    assert most_at_once(log) == 2
    assert len({(result.worker or "").split("@")[0] for result in results}) == 2


def test_a_key_is_free_again_soon_after_its_holders_worker_was_killed(fleet: Fleet) -> None:
    victim = fleet.worker("w1", slots=1)
    client = fleet.client()
    first = client.submit_shell("sleep 60", concurrency_key="db", concurrency_limit=1)
    eventually(lambda: first.state() is State.RUNNING)
    second = client.submit_shell("true", concurrency_key="db", concurrency_limit=1)
    victim.end(signal.SIGKILL)
    fleet.worker("w2", slots=2)
    eventually(lambda: first.facts()["losses"] == 1, within=60)
    first.cancel()

    assert second.result(30).outcome is State.SUCCEEDED


def test_a_rate_is_kept_by_the_servers_clock(fleet: Fleet) -> None:
    two_workers(fleet)
    client = fleet.client()
    jobs = client.submit_many([of_command("true", rate_key="api", rate_limit="4/1s") for _ in range(14)])
    assert {job.result(60).outcome for job in jobs} == {State.SUCCEEDED}
    starts = sorted(job.facts()["started_at"] for job in jobs)

    assert all(later - earlier >= 1.0 for earlier, later in zip(starts, starts[4:], strict=False))


def test_a_small_group_is_not_stuck_behind_a_large_one(fleet: Fleet) -> None:
    two_workers(fleet, slots=2)
    client = fleet.client()
    large = client.submit_many([of_command("sleep 0.02", group="large") for _ in range(400)])
    small = client.submit_many([of_command("true", group="small") for _ in range(5)])
    assert {job.result(60).outcome for job in small} == {State.SUCCEEDED}
    still_waiting = sum(job.state() is State.QUEUED for job in large)

    assert still_waiting > 200


def test_a_paused_queue_starts_nothing_and_goes_on_where_it_stood(fleet: Fleet) -> None:
    two_workers(fleet, slots=2)
    client = fleet.client()
    running = client.submit_shell("until [ -e go ]; do sleep 0.05; done", working_dir=str(fleet.home))
    eventually(lambda: running.state() is State.RUNNING)
    assert call(fleet, "queues", "pause", "default") == "default  paused\n"
    jobs = [client.submit_shell("true") for _ in range(5)]
    (fleet.home / "go").touch()

    assert running.result(20).outcome is State.SUCCEEDED
    assert {job.state() for job in jobs} == {State.QUEUED}
    assert "waits         queue default is paused" in call(fleet, "status", jobs[0].id)
    assert "queue default is paused" in call(fleet, "status")
    listed = json.loads(call(fleet, "queues", "ls", "--json"))
    assert [(one["queue"], one["waiting"], one["slots"]) for one in listed] == [("default", 5, 4)]
    assert listed[0]["paused_at"] > 0
    assert call(fleet, "queues", "resume", "default") == "default  goes on\n"
    assert {job.result(20).outcome for job in jobs} == {State.SUCCEEDED}


def test_a_purge_is_confirmed_and_cancels_what_waits(fleet: Fleet) -> None:
    client = fleet.client()
    jobs = client.submit_many([of_command("true") for _ in range(450)])

    assert "--yes" in call(fleet, "queues", "purge", "default", code=2)
    assert "'nothing' is not accepted" in call(fleet, "queues", "purge", "nothing", "--yes", code=2)
    said = json.loads(call(fleet, "queues", "purge", "default", "--yes", "--json"))
    assert said == [{"queue": "default", "cancelled": 450}]
    assert {job.state() for job in jobs} == {State.CANCELLED}


def test_a_job_waits_for_a_worker_with_its_label_says_so_and_runs_there(fleet: Fleet) -> None:
    fleet.worker("plain", slots=4)
    client = fleet.client()
    jobs = client.submit_many([of_command("true", requires={"gpu": "a100"}) for _ in range(6)])
    others = client.submit_many([of_command("true") for _ in range(6)])
    assert {job.result(20).outcome for job in others} == {State.SUCCEEDED}
    assert "waits         no worker has gpu=a100" in call(fleet, "status", jobs[0].id)
    labelled = fleet.worker("gpu", slots=2, env={"SCRIPTFLEET_WORKER_LABELS": "gpu=a100,zone=eu"})

    results = [job.result(20) for job in jobs]
    assert {(result.worker or "").split("@")[0] for result in results} == {"gpu"}
    assert "gpu=a100, zone=eu" in call(fleet, "workers", "show", "gpu")
    labelled.end()
    broker = client.broker
    assert broker.redis.keys(broker.keys("*worker.gpu*")) == []


def test_a_placed_job_survives_the_death_of_its_worker(fleet: Fleet) -> None:
    label = {"SCRIPTFLEET_WORKER_LABELS": "gpu=a100"}
    victim = fleet.worker("first", slots=1, env=label)
    client = fleet.client()
    running = client.submit_shell("sleep 30", requires={"gpu": "a100"})
    eventually(lambda: running.state() is State.RUNNING)
    waiting = client.submit_shell("true", requires={"gpu": "a100"})
    with stopped(victim):
        fleet.worker("second", slots=2, env=label)
        # Its own list is read by nobody; the other worker finds the job there after a while.
        assert (waiting.result(30).worker or "").startswith("second@")
    running.cancel()
    running.wait(30)


def test_memory_is_not_promised_twice(fleet: Fleet) -> None:
    fleet.worker("w1", slots=4)
    client = fleet.client()
    free_mb = eventually(lambda: fleet.view().workers()[0].memory_free_mb)
    log = fleet.home / "stamps"
    asked = max(1.0, free_mb * 0.4)
    jobs = client.submit_many([of_command(stamping(log, 0.3), needs_memory_mb=asked) for _ in range(6)])
    greedy = client.submit_shell("true", needs_memory_mb=free_mb * 3)

    assert {job.result(60).outcome for job in jobs} == {State.SUCCEEDED}
    assert most_at_once(log) <= 2
    assert "MiB free: w1@" in call(fleet, "status", greedy.id)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--concurrency-key", "k"), "concurrency_limit"),
        (("--rate-key", "k", "--rate-limit", "ten"), "such as 10/1m"),
        (("--rate-limit", "10/1m"), "rate_key"),
        (("--require", "gpu"), "NAME=VALUE"),
        (("--concurrency-key", "k", "--concurrency-limit", "0"), "whole number from 1"),
    ],
)
def test_what_cannot_be_asked_is_refused_in_one_line(fleet: Fleet, options: tuple[str, ...], said: str) -> None:
    told = call(fleet, "submit", *options, "--shell", "true", code=2)

    assert said in told
    assert told.count("\n") == 1
