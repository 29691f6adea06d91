"""Celery's own control, from Flower and from the command line, means for jobs what it says."""

import signal
import socket
import sys

import pytest

from scriptfleet.domain.state import State
from tests.e2e.test_drain import is_put_back, running, said_of
from tests.eventually import eventually
from tests.fleet_parts import Fleet, Process, marked
from tests.flower import Flower

NAME = f"w1@{socket.gethostname()}"


@pytest.fixture
def flower(fleet: Fleet) -> Flower:
    started = Flower(fleet)
    fleet.worker("w1", slots=1, env={"SCRIPTFLEET_DRAIN_SECONDS": "300"})
    started.await_worker(NAME)
    return started


def test_flowers_terminate_button_cancels_a_running_job(fleet: Fleet, flower: Flower) -> None:
    job = running(fleet, "flower-1")

    assert flower.press(f"task/revoke/{job.id}", terminate="true").status_code == 200

    assert job.wait(60) is State.CANCELLED
    assert marked("flower-1") == []
    eventually(lambda: flower.tasks()[job.id]["state"] == "REVOKED")


def test_flowers_revoke_button_cancels_a_job_that_waits(fleet: Fleet, flower: Flower) -> None:
    first = running(fleet, "flower-2")
    waiting = fleet.client().submit_shell("echo never")

    assert flower.press(f"task/revoke/{waiting.id}").status_code == 200
    first.cancel()

    assert waiting.wait(60) is State.CANCELLED


def test_flowers_pool_buttons_add_slots_and_take_them_away(fleet: Fleet, flower: Flower) -> None:
    assert flower.press(f"worker/pool/grow/{NAME}", n=2).status_code == 200
    eventually(lambda: said_of(fleet, "w1").slots == 3)
    jobs = [running(fleet, f"flower-3-{number}", "sleep 3; echo done") for number in range(3)]

    assert flower.press(f"worker/pool/shrink/{NAME}", n=2).status_code == 200

    eventually(lambda: said_of(fleet, "w1").slots == 1)
    assert {job.result(20).stdout for job in jobs} == {"done\n"}
    late = [fleet.client().submit_shell("sleep 1.5", env={"MARK": "flower-4"}) for _ in range(3)]
    eventually(lambda: said_of(fleet, "w1").jobs == (late[0].id,))
    assert {job.wait(60) for job in late} == {State.SUCCEEDED}


def test_flowers_time_limits_hold_for_jobs_also_for_those_without_a_message(fleet: Fleet, flower: Flower) -> None:
    answer = flower.press("task/timeout/scriptfleet.shell", workername=NAME, soft=1, hard=1.5)

    assert answer.status_code == 200, answer.text
    jobs = [fleet.client().submit_shell("trap '' TERM; sleep 60; sleep 60") for _ in range(3)]
    results = [job.result(20) for job in jobs]
    assert {result.outcome for result in results} == {State.TIMED_OUT}
    assert max(result.usage.execution_time_seconds for result in results) < 10


def test_flowers_shutdown_button_drains_the_worker(fleet: Fleet, flower: Flower) -> None:
    worker = next(process for process in fleet.processes if process.log_path.name == "w1.log")
    job = running(fleet, "flower-5", "sleep 2; echo finished")

    assert flower.press(f"worker/shutdown/{NAME}").status_code == 200

    assert worker.popen.wait(60) == 0
    assert job.result(1).stdout == "finished\n"
    assert "drain_begun" in worker.log()


def test_flowers_shutdown_waits_no_longer_than_the_grace(fleet: Fleet) -> None:
    flower = Flower(fleet)
    worker = fleet.worker("w1", slots=1, env={"SCRIPTFLEET_DRAIN_SECONDS": "1"})
    flower.await_worker(NAME)
    job = running(fleet, "flower-6")

    flower.press(f"worker/shutdown/{NAME}")

    assert worker.popen.wait(60) == 0
    assert marked("flower-6") == []
    is_put_back(job)


def soft_worker(fleet: Fleet, *options: str) -> Process:
    """Start a plain Celery worker with Celery's own options."""
    command = [sys.executable, "-m", "celery", "-A", "scriptfleet_workers.app", "worker", "-n", "w1@%h", "-c", "2"]
    process = fleet.start("w1", *command, "-l", "INFO", *options)
    fleet.await_worker("w1", process)
    return process


def test_celerys_soft_shutdown_lets_short_runs_end_and_leaves_no_orphan(fleet: Fleet) -> None:
    worker = soft_worker(fleet, "--", "worker.soft_shutdown_timeout=3")
    short = running(fleet, "soft-1", "sleep 1.5; echo short")
    long = running(fleet, "soft-2", "sleep 300 & sleep 301")

    worker.end(signal.SIGQUIT, within=60)

    assert "Initiating Soft Shutdown" in worker.log()
    assert short.result(1).stdout == "short\n"
    assert marked("soft-2") == []
    is_put_back(long)


def test_celerys_time_limit_of_the_command_line_ends_runs(fleet: Fleet) -> None:
    soft_worker(fleet, "--time-limit", "1")

    result = fleet.client().submit_shell("sleep 60", grace=0.2).result(15)

    assert result.outcome is State.TIMED_OUT


def test_two_sigquits_while_a_script_ignores_sigterm_leave_no_orphan(fleet: Fleet) -> None:
    worker = soft_worker(fleet)
    running(fleet, "soft-3", "trap '' TERM; sleep 300; sleep 300", grace=60)

    worker.send(signal.SIGQUIT)
    eventually(lambda: "Cold shutdown" in worker.log() or "Hitting Ctrl+C again" in worker.log())

    def is_over() -> bool:
        # Celery says that it waits for another before it would hear of it.
        if worker.popen.poll() is None:
            worker.send(signal.SIGQUIT)
        return worker.popen.poll() is not None

    eventually(is_over, every=1.0)
    eventually(lambda: marked("soft-3") == [])
