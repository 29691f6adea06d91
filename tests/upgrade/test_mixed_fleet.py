"""A rolling upgrade: processes of an older commit and of this one in one fleet, whichever of them is the older."""

import io
import json
import subprocess
import sys
import tarfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from scriptfleet.domain.retry import RetryPolicy
from scriptfleet.domain.state import State
from scriptfleet.queues.drafts import of_command
from tests.command import ROOT
from tests.e2e.test_fleet_runs_jobs import stored_runs
from tests.eventually import eventually
from tests.fleet_parts import Fleet, Process, Server

#: What a fleet that is not upgraded yet runs; the next release takes its place.
OLDER = "3271b14682570b64713d038b8ac73f64ac5766a3"


@pytest.fixture(scope="session")
def older(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment in which Python finds the older packages first."""
    packed = subprocess.run(
        ["git", "archive", OLDER, "platform", "workers", "beat", "examples"], cwd=ROOT, capture_output=True, check=False
    )
    if packed.returncode:
        pytest.skip(
            f"the older commit is not in this clone: `git fetch --unshallow` ({packed.stderr.decode().strip()})"
        )
    folder = tmp_path_factory.mktemp("older")
    with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as tar:
        tar.extractall(folder, filter="data")
    return {"PYTHONPATH": ":".join(str(folder / root) for root in ("platform", "workers", "beat"))}


@pytest.fixture
def fleet(redis_url: str, tmp_path: Path) -> Iterator[Fleet]:
    """A fleet with nothing started yet, on a database that whoever comes first makes."""
    made = Fleet(tmp_path, redis_url, f"t{uuid.uuid4().hex[:12]}", f"sqlite:///{tmp_path / 'store.db'}")
    yield made
    made.stop()


def older_server(fleet: Fleet, older: dict[str, str]) -> Server:
    command = [sys.executable, "-m", "scriptfleet.results", "--port", "0", "--migrate"]
    process = fleet.start("older-server", *command, env=older)

    def address() -> str:
        assert process.popen.poll() is None, process.log()[-3000:]
        found = [line.split()[-1] for line in process.log().splitlines() if line.startswith("listening on ")]
        return found[0] if found else ""

    return Server(process, eventually(address, within=60))


def is_older(process: Process) -> bool:
    """Tell whether the process has the older packages loaded."""
    maps = Path(f"/proc/{process.pid}/environ").read_bytes()
    return b"/older0/platform" in maps


def check_work(fleet: Fleet, server: Server, tmp_path: Path) -> None:
    """Have the fleet do one job of each sort, and see it all in the store."""
    client = fleet.client()
    (tmp_path / "hello.py").write_text("import sys; print('hello', sys.argv[1])")
    script = client.submit(tmp_path / "hello.py", ["there"])
    failing = client.submit_shell("exit 3", retry=RetryPolicy(max_attempts=2, initial_delay=0.1))
    stopped = client.submit_shell("sleep 60", name="stopped")
    many = [client.submit_shell(f"echo {number} >> {tmp_path / 'ran'}") for number in range(20)]

    assert script.result(60).stdout == "hello there\n"
    assert failing.result(60).outcome is State.FAILED
    eventually(lambda: stopped.state() is State.RUNNING, within=60)
    client.broker.cancel([stopped.id])
    assert stopped.result(60).outcome is State.CANCELLED
    assert {job.result(60).outcome for job in many} == {State.SUCCEEDED}

    assert sorted(map(int, (tmp_path / "ran").read_text().split())) == list(range(20))
    runs = eventually(lambda: ended if len(ended := [r for r in stored_runs(server) if r["outcome"]]) == 24 else [])
    assert sorted(run["outcome"] for run in runs) == ["cancelled"] + ["failed"] * 2 + ["succeeded"] * 21
    assert all(run["usage"]["user_time_seconds"] is not None for run in runs if run["outcome"] == "succeeded")
    assert server.get("/readyz").json().get("events_dead") == 0


def test_an_older_worker_serves_a_newer_server_and_client(fleet: Fleet, older: dict[str, str], tmp_path: Path) -> None:
    server = fleet.server()
    assert is_older(fleet.worker("older", slots=2, env=older))

    check_work(fleet, server, tmp_path)


def test_a_newer_worker_serves_an_older_server(fleet: Fleet, older: dict[str, str], tmp_path: Path) -> None:
    server = older_server(fleet, older)
    assert is_older(server.process)
    fleet.worker("newer", slots=2)

    check_work(fleet, server, tmp_path)


def test_older_and_newer_workers_share_the_work(fleet: Fleet, older: dict[str, str], tmp_path: Path) -> None:
    server = fleet.server()
    fleet.worker("older", slots=1, env=older)
    fleet.worker("newer", slots=1)

    check_work(fleet, server, tmp_path)


def test_what_an_older_worker_does_not_give_back_holds_nobody_up_for_long(fleet: Fleet, older: dict[str, str]) -> None:
    """It refuses specs with keys by name, and its scripts know nothing of what a key's jobs hold."""
    fleet.worker("older", slots=2, env=older)
    fleet.worker("newer", slots=1)
    drafts = [of_command("true", concurrency_key="db", concurrency_limit=1) for _ in range(8)]

    results = [job.result(60) for job in fleet.client().submit_many(drafts)]

    assert {result.outcome for result in results} <= {State.SUCCEEDED, State.REJECTED}


def test_an_older_client_submits_to_a_newer_fleet(fleet: Fleet, older: dict[str, str]) -> None:
    server = fleet.server()
    fleet.worker("newer", slots=1)
    code = "import scriptfleet; print(scriptfleet.Client().submit_shell('echo old').result(60).stdout, end='')"

    done = subprocess.run(
        [sys.executable, "-c", code], env=fleet.environment | older, capture_output=True, text=True, check=False
    )

    assert (done.stdout, done.stderr) == ("old\n", "")
    assert [run["outcome"] for run in eventually(lambda: stored_runs(server))] == ["succeeded"]


def test_a_spec_that_asks_for_what_an_older_worker_does_not_know_is_refused_by_name(
    fleet: Fleet, older: dict[str, str]
) -> None:
    server = fleet.server()
    fleet.worker("older", slots=1, env=older)
    asked = RetryPolicy(max_attempts=2, oom_queue="large")

    result = fleet.client().submit_shell("true", retry=asked).result(60)

    assert result.outcome is State.REJECTED
    [run] = eventually(lambda: [run for run in stored_runs(server) if run["outcome"]])
    assert "oom_queue" in json.dumps(run["usage"]["error_message"])
