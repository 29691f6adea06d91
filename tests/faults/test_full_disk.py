"""A worker's disk is full: while the broker is there every job's end is told, and the log says why."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from scriptfleet.domain.state import State
from tests.conftest import missing
from tests.e2e.test_fleet_runs_jobs import stored_runs
from tests.eventually import eventually
from tests.fleet_parts import Fleet


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 8 MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "none", place], check=False, capture_output=True
    ).returncode:
        missing("the right to mount a tmpfs (root)")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def fill(place: Path) -> Path:
    """Leave no byte free."""
    filler = place / "filler"
    with filler.open("wb", buffering=0) as out:
        try:
            while True:
                out.write(bytes(4096))
        except OSError:
            return filler


def test_no_job_is_lost_or_recorded_twice_while_the_disk_is_full(fleet: Fleet, small_disk: Path) -> None:
    server = fleet.server()
    worker = fleet.worker("w1", slots=2, env={"SCRIPTFLEET_HOME": str(small_disk)})
    client = fleet.client()
    assert client.submit_shell("echo before").result(30).stdout == "before\n"

    filler = fill(small_disk)
    assert os.statvfs(small_disk).f_bavail == 0
    jobs = [client.submit_shell(f"seq {number} 200000") for number in range(10)]
    outcomes = [job.result(60).outcome for job in jobs]
    filler.unlink()

    assert client.submit_shell("echo after").result(60).stdout == "after\n"
    runs = eventually(lambda: ended if len(ended := [r for r in stored_runs(server) if r["outcome"]]) == 12 else [])
    assert sorted(run["job_id"] for run in runs)[:12] == sorted({run["job_id"] for run in runs})
    assert outcomes == [State.SUCCEEDED] * 10
    assert worker.popen.poll() is None
    assert worker.log().count("reason=No space left on device") >= 10
