"""Jobs are run again by hand on a live fleet: from the broker, and from the store once the broker has let them go."""

import json
from pathlib import Path

import httpx

from scriptfleet.domain.state import State
from scriptfleet.queues.job_handle import Job
from tests.command import one_line, scriptfleet
from tests.eventually import eventually
from tests.fleet_parts import Fleet, Server, has_ended

KEY = {"SCRIPTFLEET_SIGNING_KEY": "a key of this fleet"}


def let_go(fleet: Fleet, server: Server, *jobs: Job) -> None:
    """Forget jobs as the broker does some hours after their end, once the store has them."""
    broker = fleet.client().broker
    for job in jobs:
        eventually(lambda job=job: has_ended(server.get(f"/api/v1/jobs/{job.id}").json()))
        broker.redis.delete(broker.keys("job", job.id))


def test_a_job_runs_again_with_other_arguments_and_says_where_it_came_from(fleet: Fleet, tmp_path: Path) -> None:
    server = fleet.server()
    fleet.worker()
    script = tmp_path / "say.py"
    script.write_text("import os, sys\nprint(*sys.argv[1:], os.environ['MODE'])\n")
    old = fleet.client().submit(script, ["first"], env={"MODE": "a"}, limits={"memory_mb": 200})
    assert old.result(30).stdout == "first a\n"

    words = ["rerun", old.id[:8], "--wait", "--env", "MODE=b", "--memory", "300M", "--", "--second", "-x"]
    done = scriptfleet(*words, home=fleet.home, **fleet.environment)

    assert (done.returncode, done.stdout) == (0, "--second -x b\n"), done.stderr
    new = fleet.client().job(done.stderr.split()[1])
    assert new.facts()["rerun_of"] == old.id
    assert new.result(1).usage.memory_limit_mb == 300
    said = scriptfleet("status", new.id, home=fleet.home, **fleet.environment).stdout
    assert f"rerun of      {old.id}" in said
    stored = eventually(lambda: server.get(f"/api/v1/jobs/{new.id}").json())
    assert stored["rerun_of"] == old.id
    assert old.id in server.get(f"/jobs/{new.id}").text
    assert server.get(f"/api/v1/jobs/{old.id}").json()["rerun_of"] is None


def test_a_job_that_the_broker_let_go_runs_again_from_the_store(fleet: Fleet) -> None:
    server = fleet.server()
    fleet.worker()
    job = fleet.client().submit_code("print('again')", group="g")
    failed = fleet.client().submit_shell("exit 3")
    job.wait(30)
    failed.wait(30)
    let_go(fleet, server, job, failed)

    done = scriptfleet("retry", job.id[:8], failed.id, home=fleet.home, **fleet.environment)

    assert done.returncode == 0, done.stderr
    again = [fleet.client().job(line.split()[-1]) for line in done.stdout.splitlines()]
    assert [one.result(30).exit_code for one in again] == [0, 3]
    assert again[0].result(1).stdout == "again\n"
    assert [one.facts()["rerun_of"] for one in again] == [job.id, failed.id]
    let_go(fleet, server, *again)
    known = json.loads(scriptfleet("status", "--json", again[0].id, home=fleet.home, **fleet.environment).stdout)
    assert known["rerun_of"] == job.id


def test_rest_runs_again_from_the_store_too_and_tells_what_cannot(fleet: Fleet) -> None:
    server = fleet.server()
    fleet.worker()
    job = fleet.client().submit_code("import sys; print(*sys.argv[1:])", ["old"])
    private = fleet.client().submit_shell("true", env={"API_TOKEN": "hunter2hunter2"})
    job.wait(30)
    private.wait(30)
    let_go(fleet, server, job, private)
    jobs = f"{server.url}/api/v1/jobs"

    same = httpx.post(f"{jobs}/{job.id}/retry?wait=30s", timeout=40).json()
    changed = httpx.post(f"{jobs}/{job.id}/rerun?wait=30s", json={"args": ["new"]}, timeout=40).json()
    refused = httpx.post(f"{jobs}/{private.id}/retry", timeout=60).json()

    assert [one["result"]["stdout"] for one in (same, changed)] == ["old\n", "new\n"]
    assert (same["rerun_of"], refused["code"]) == (job.id, "invalid_value")
    assert "the store kept *** in their place" in refused["detail"]


def test_a_script_whose_bytes_are_gone_is_told_plainly(fleet: Fleet) -> None:
    server = fleet.server()
    fleet.worker()
    job = fleet.client().submit_code("print(1)")
    job.wait(30)
    let_go(fleet, server, job)
    broker = fleet.client().broker
    broker.redis.delete(*broker.redis.keys(broker.keys("blob", "*")))

    done = scriptfleet("rerun", job.id, home=fleet.home, **fleet.environment)

    assert done.returncode == 125
    assert "not with the broker" in one_line(done)


def test_a_job_whose_secret_the_store_did_not_keep_is_not_run_without_it(fleet: Fleet) -> None:
    server = fleet.server()
    fleet.worker()
    job = fleet.client().submit_shell("true", env={"API_TOKEN": "hunter2hunter2"})
    job.wait(30)
    let_go(fleet, server, job)

    done = scriptfleet("rerun", job.id, home=fleet.home, **fleet.environment)

    assert done.returncode == 2
    assert "the store kept *** in their place" in one_line(done)


def test_with_a_key_only_what_was_signed_with_it_is_signed_again(fleet: Fleet) -> None:
    server = fleet.server()
    fleet.worker(env=KEY)
    signed = Signed(fleet)
    job = signed.submit("echo genuine")
    forged = fleet.client().submit_shell("echo forged")
    assert (job.wait(30), forged.wait(30)) == (State.SUCCEEDED, State.REJECTED)
    let_go(fleet, server, job, forged)

    good = scriptfleet("rerun", job.id, "--wait", home=fleet.home, **fleet.environment, **KEY)
    bad = scriptfleet("rerun", forged.id, home=fleet.home, **fleet.environment, **KEY)

    assert (good.returncode, good.stdout) == (0, "genuine\n"), good.stderr
    assert bad.returncode == 2
    assert "signing key" in one_line(bad)


class Signed:
    """Submits with the fleet's key, by the command line."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    def submit(self, command: str) -> Job:
        words = ("submit", "--shell", command)
        done = scriptfleet(*words, home=self._fleet.home, **self._fleet.environment, **KEY)
        assert done.returncode == 0, done.stderr
        return self._fleet.client().job(done.stdout.strip())


def test_a_dead_job_is_replayed_and_succeeds_once_its_cause_is_gone(fleet: Fleet, tmp_path: Path) -> None:
    fleet.worker()
    job = fleet.client().submit_shell(f"test -e {tmp_path}/there", retry={"max_attempts": 2, "initial_delay": 0.1})
    assert job.wait(30) is State.FAILED
    (tmp_path / "there").touch()

    listed = json.loads(scriptfleet("dead", "ls", "--json", home=fleet.home, **fleet.environment).stdout)
    done = scriptfleet("dead", "replay", "--all", home=fleet.home, **fleet.environment)

    assert [(one["job_id"], one["attempts"], one["error_type"]) for one in listed] == [(job.id, 2, "ExitCode")]
    assert done.returncode == 0, done.stderr
    assert fleet.client().job(done.stdout.split()[-1]).wait(30) is State.SUCCEEDED
