"""A worker whose machine is too busy takes no job, says why, and leaves the jobs to others."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from scriptfleet.domain.state import State
from scriptfleet.queues.fleet import WorkerInfo
from tests.conftest import missing
from tests.eventually import eventually
from tests.fleet_parts import Fleet, Process

#: Every machine that runs this is above it.
ALWAYS_OVER = {"SCRIPTFLEET_MAX_MEMORY_PERCENT": "1"}


def said_of(fleet: Fleet, name: str) -> WorkerInfo:
    return next(worker for worker in fleet.view().workers() if worker.name.startswith(f"{name}@"))


def status(fleet: Fleet, *options: str) -> str:
    command = [sys.executable, "-m", "scriptfleet", "status", *options]
    return subprocess.run(command, env=fleet.environment, capture_output=True, text=True, check=True).stdout


def beats(fleet: Fleet, name: str, count: int) -> None:
    """Wait until the worker has beaten so many times more."""
    for _ in range(count):
        before = said_of(fleet, name).seen_at_ms
        eventually(lambda before=before: said_of(fleet, name).seen_at_ms > before)


def test_a_throttled_worker_leaves_jobs_in_their_queue_and_says_why(fleet: Fleet) -> None:
    worker = fleet.worker("busy", env=ALWAYS_OVER)
    jobs = [fleet.client().submit_shell("true") for _ in range(5)]
    beats(fleet, "busy", 3)

    assert [job.state() for job in jobs] == [State.QUEUED] * 5
    assert said_of(fleet, "busy").running == 0
    assert "host memory at" in said_of(fleet, "busy").throttled
    assert "takes no new job: host memory at" in status(fleet)
    assert json.loads(status(fleet, "--json"))["workers"][0]["throttled"].endswith("takes jobs again at 0.9 %")
    assert worker.log().count("throttled reason=host memory") == 1


def test_other_workers_take_what_a_throttled_one_leaves(fleet: Fleet) -> None:
    fleet.worker("busy", env=ALWAYS_OVER)
    jobs = [fleet.client().submit_shell("true") for _ in range(10)]
    fleet.worker("free")

    # Sooner than a message that somebody held back would be sent again.
    results = [job.result(4) for job in jobs]

    assert {result.outcome for result in results} == {State.SUCCEEDED}
    assert {job.facts()["worker"].split("@")[0] for job in jobs} == {"free"}


def test_a_throttled_worker_still_stops_when_it_is_told_to(fleet: Fleet) -> None:
    worker = fleet.worker("busy", env=ALWAYS_OVER)

    assert worker.end() == 0


def test_a_worker_within_its_limits_works_as_ever(fleet: Fleet) -> None:
    worker = fleet.worker("free", env={"SCRIPTFLEET_MAX_MEMORY_PERCENT": "99.9", "SCRIPTFLEET_MAX_CPU_PERCENT": "100"})

    assert fleet.client().submit_shell("true").result(10).outcome is State.SUCCEEDED
    assert said_of(fleet, "free").throttled == ""
    assert "throttle" not in worker.log()


def test_a_threshold_that_cannot_be_keeps_the_worker_from_starting(fleet: Fleet) -> None:
    command = [sys.executable, "-m", "celery", "-A", "scriptfleet_workers.app", "worker"]
    process = fleet.start("wrong", *command, env={"SCRIPTFLEET_MAX_CPU_PERCENT": "120"})

    assert process.popen.wait(30) != 0
    assert "SCRIPTFLEET_MAX_CPU_PERCENT: '120' is not accepted" in process.log()


@pytest.fixture
def memory_group() -> Iterator[Path]:
    """A control group with a limit of 1 GiB, as a container has one."""
    name, limit_bytes = f"scriptfleet-test-{os.getpid()}", 1 << 30
    places = ((Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes"), (Path("/sys/fs/cgroup"), "memory.max"))
    for base, limit in places:
        folder = base / name
        try:
            folder.mkdir()
            (folder / limit).write_text(str(limit_bytes))
        except OSError:
            if folder.is_dir():
                folder.rmdir()
            continue
        try:
            yield folder
        finally:
            eventually(lambda folder=folder: not (folder / "cgroup.procs").read_text())
            folder.rmdir()
        return
    missing("a memory control group that can be made")


def hog(fleet: Fleet, folder: Path, size_bytes: int) -> Process:
    """A process that holds memory in the group."""
    code = "import os, sys; open(sys.argv[1], 'w').write(str(os.getpid())); x = b'x' * int(sys.argv[2]); input()"
    read, _keep_open = os.pipe()
    command = [sys.executable, "-c", code, str(folder / "cgroup.procs"), str(size_bytes)]
    log = fleet.home / "hog.log"
    with log.open("wb") as output:
        process = Process(subprocess.Popen(command, stdin=read, stdout=output, stderr=output), log)
    fleet.processes.append(process)
    return process


def test_a_worker_takes_jobs_again_once_the_load_has_fallen(memory_group: Path, fleet: Fleet) -> None:
    """The load is that of the worker's own container: half of it is taken by a process beside it, which then ends."""
    worker = fleet.worker("boxed", env={"SCRIPTFLEET_MAX_MEMORY_PERCENT": "50"})
    if said_of(fleet, "boxed").throttled:
        pytest.skip("this machine's own memory is half used already")
    (memory_group / "cgroup.procs").write_text(str(worker.pid))
    greedy = hog(fleet, memory_group, 600 << 20)
    eventually(lambda: said_of(fleet, "boxed").throttled)
    # The order for a message that was at the server already has ended by then.
    beats(fleet, "boxed", 2)
    job = fleet.client().submit_shell("true")
    beats(fleet, "boxed", 2)
    state_while_over = job.state()
    greedy.send(9)

    assert state_while_over is State.QUEUED
    assert job.result(15).outcome is State.SUCCEEDED
    assert worker.log().count("throttled reason=") == worker.log().count("throttle_over") == 1
