"""From submit to a stored, visible run, over real processes."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from scriptfleet.domain.state import State
from scriptfleet.queues import drafts
from tests.eventually import eventually
from tests.fleet_parts import Fleet, Server, marked


def stored_runs(server: Server) -> list[dict]:
    runs, cursor = [], ""
    while True:
        page = server.get("/api/v1/runs", limit=200, **({"cursor": cursor} if cursor else {})).json()
        runs += page["runs"]
        cursor = page.get("next_cursor")
        if not cursor:
            return runs


def test_a_script_goes_from_submit_to_rest_page_and_metrics(fleet: Fleet, tmp_path: Path) -> None:
    server = fleet.server()
    fleet.worker()
    script = tmp_path / "report.py"
    script.write_text("import sys\nprint('total', sum(map(int, sys.argv[1:])))\n")

    job = fleet.client().submit(script, args=["20", "22"], labels={"team": "sales"})
    result = job.result(30)

    assert (result.outcome, result.exit_code, result.stdout) == (State.SUCCEEDED, 0, "total 42\n")
    assert result.usage.cpu_seconds > 0
    assert result.usage.memory_max_mb > 1
    assert result.usage.cpu_method in {"cgroup2", "cgroup1", "rusage"}

    run = eventually(lambda: [run for run in stored_runs(server) if run["outcome"]])[0]
    assert run["run_id"] == result.run_id
    assert server.get(f"/api/v1/runs/{result.run_id}/output").text == "total 42\n"
    assert server.get(f"/api/v1/jobs/{job.id}").json()["state"] == "succeeded"
    assert "report.py" in server.get("/runs").text
    assert "total 42" in server.get(f"/runs/{result.run_id}").text
    families = {family.name: family for family in text_string_to_metric_families(server.get("/metrics").text)}
    total = [sample for sample in families["scriptfleet_runs"].samples if sample.labels.get("outcome") == "succeeded"]
    assert total[0].value == 1


def test_output_is_followed_while_the_script_runs(fleet: Fleet) -> None:
    fleet.worker()
    job = fleet.client().submit_code(
        "import sys, time\nprint('first', flush=True)\nprint('bad', file=sys.stderr)\ntime.sleep(1.5)\nprint('last')"
    )

    pieces = job.output(follow=True)
    stream, text = next(pieces)
    state_at_first = job.state()
    rest = list(pieces)

    assert (stream, text) == ("stdout", "first\n")
    assert state_at_first is State.RUNNING
    assert ("stderr", "bad\n") in rest
    assert rest[-1] == ("stdout", "last\n")


@pytest.mark.parametrize(
    ("code", "options", "outcome", "exit_code"),
    [
        ("raise KeyError('x')", {}, State.FAILED, 1),
        ("import sys; sys.exit(7)", {}, State.FAILED, 7),
        ("import os; os.kill(os.getpid(), 11)", {}, State.FAILED, 139),
        ("import time; time.sleep(60)", {"timeout": 0.5}, State.TIMED_OUT, 124),
        (
            "import time; x = b'x' * (200 << 20); time.sleep(60)",
            {"limits": {"memory_mb": 64}},
            State.OUT_OF_MEMORY,
            137,
        ),
        ("while True: pass", {"limits": {"cpu_seconds": 1}}, State.FAILED, None),
    ],
)
def test_every_way_of_ending_has_its_outcome_and_exit_code(
    fleet: Fleet, code: str, options: dict, outcome: State, exit_code: int | None
) -> None:
    fleet.worker(slots=1)

    result = fleet.client().submit_code(code, grace=0.5, **options).result(30)

    assert result.outcome is outcome
    assert exit_code is None or result.exit_code == exit_code
    assert result.usage.error_type


def test_a_function_gives_back_what_it_returned(fleet: Fleet, tmp_path: Path) -> None:
    fleet.worker(slots=1)
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "pricing.py").write_text("def total(items, tax=0):\n    return {'sum': sum(items) * (1 + tax)}\n")

    job = fleet.client().submit_function("pricing:total", [[1, 2, 3]], {"tax": 0.5}, folder=folder)

    assert job.result(30).output_data == {"sum": 9.0}


def test_a_folder_travels_as_a_bundle_with_its_data(fleet: Fleet, tmp_path: Path) -> None:
    fleet.worker(slots=1)
    folder = tmp_path / "job"
    (folder / "data").mkdir(parents=True)
    (folder / "data" / "rows.csv").write_text("a,1\nb,2\n")
    (folder / "main.py").write_text("print(open('data/rows.csv').read().count('\\n'), 'rows')")

    assert fleet.client().submit(folder).result(30).stdout == "2 rows\n"


def test_arguments_and_bytes_arrive_untouched(fleet: Fleet, tmp_path: Path) -> None:
    server = fleet.server()
    fleet.worker(slots=1)
    script = tmp_path / "echo.py"
    script.write_text("import sys, os\nprint(repr(sys.argv[1:]))\nsys.stdout.flush()\nos.write(1, b'\\xff\\x00\\xfe')")
    args = ["a b", 'it\'s "quoted"', "two\nlines", "", "ünïcode", "--timeout", "-1"]

    result = fleet.client().submit(script, args=args).result(30)

    assert result.stdout.startswith(repr(args))
    assert "�" in result.stdout
    eventually(lambda: stored_runs(server)[0]["outcome"])
    raw = server.get(f"/api/v1/runs/{result.run_id}/output").content
    assert raw.endswith(b"\xff\x00\xfe")


def test_a_failing_job_is_retried_and_each_attempt_is_a_run(fleet: Fleet) -> None:
    server = fleet.server()
    fleet.worker(slots=1)

    job = fleet.client().submit_code("import sys; sys.exit(3)", retry={"max_attempts": 3, "initial_delay": 0.1})
    result = job.result(30)

    assert (result.outcome, result.attempts) == (State.FAILED, 3)
    runs = eventually(lambda: [run for run in stored_runs(server) if run["outcome"]][2:] and stored_runs(server))
    assert sorted(run["attempt"] for run in runs) == [1, 2, 3]


def test_secrets_reach_the_script_that_names_them_and_no_other(fleet: Fleet) -> None:
    fleet.worker(slots=1, env={"SCRIPTFLEET_SECRET_API_KEY": "s3cret"})
    client = fleet.client()
    show = (
        "import os; print(os.environ.get('API_KEY') == 's' + '3cret', "
        "[n for n in os.environ if 'SECRET' in n or 'REDIS' in n])"
    )

    assert client.submit_code(show, secrets=["API_KEY"]).result(30).stdout == "True []\n"
    assert client.submit_code(show).result(30).stdout == "False []\n"
    missing = client.submit_code(show, secrets=["OTHER"]).result(30)
    assert missing.outcome is State.REJECTED
    assert "SCRIPTFLEET_SECRET_OTHER" in missing.usage.error_message


def test_a_worker_with_a_key_refuses_what_was_not_signed_with_it(fleet: Fleet) -> None:
    fleet.worker(slots=1, env={"SCRIPTFLEET_SIGNING_KEY": "k1"})

    result = fleet.client().submit_shell("echo never").result(30)

    assert result.outcome is State.REJECTED
    assert "signing key" in result.usage.error_message
    assert result.stdout == ""


def test_cancel_ends_a_running_tree_and_a_waiting_job(fleet: Fleet) -> None:
    fleet.worker(slots=1)
    client = fleet.client()
    running = client.submit_shell("sleep 300 & sleep 301", env={"MARK": "cancel-me-1"}, grace=1)
    eventually(lambda: running.state() is State.RUNNING and marked("cancel-me-1"))
    waiting = client.submit_shell("echo never")

    assert waiting.cancel()
    assert running.cancel()

    assert waiting.wait(60) is State.CANCELLED
    assert running.wait(60) is State.CANCELLED
    assert not running.cancel()
    assert marked("cancel-me-1") == []


def test_two_hundred_jobs_on_two_workers_are_stored_once_each(fleet: Fleet) -> None:
    server = fleet.server()
    fleet.worker("w1")
    fleet.worker("w2")
    draft = drafts.of_command("echo $((6 * 7))")

    jobs = fleet.client().submit_many([draft] * 200)
    for job in jobs:
        assert job.wait(60) is State.SUCCEEDED

    eventually(lambda: len([run for run in stored_runs(server) if run["outcome"] == "succeeded"]) == 200, within=60)
    runs = stored_runs(server)
    assert len(runs) == 200
    assert {run["job_id"] for run in runs} == {job.id for job in jobs}
    assert {run["worker"].split("@")[0] for run in runs} == {"w1", "w2"}
    assert fleet.client().broker.redis.xlen(fleet.client().broker.keys("events")) == 0


def test_sigterm_lets_runs_finish_and_starts_no_more(fleet: Fleet) -> None:
    worker = fleet.worker(slots=1)
    client = fleet.client()
    first = client.submit_shell("sleep 2; echo done")
    eventually(lambda: first.state() is State.RUNNING)
    second = client.submit_shell("echo later")

    assert worker.end(signal.SIGTERM) == 0

    assert first.result(5).stdout == "done\n"
    assert second.state() is State.QUEUED
    fleet.worker("w2", slots=1)
    assert second.result(30).stdout == "later\n"


def test_sigkill_of_a_worker_leaves_no_script_and_the_job_runs_again(fleet: Fleet) -> None:
    worker = fleet.worker("w1", slots=2)
    client = fleet.client()
    script = "import os, time\nif os.environ['SCRIPTFLEET_RUN_ID']: time.sleep(4)\nprint('ran')"
    jobs = [client.submit_code(script, env={"MARK": "killed-worker-1"}) for _ in range(2)]
    eventually(lambda: len(marked("killed-worker-1")) == 2)
    first_runs = {job.facts()["run_id"] for job in jobs}

    worker.end(signal.SIGKILL)

    eventually(lambda: marked("killed-worker-1") == [], within=60)
    fleet.worker("w2", slots=2)
    for job in jobs:
        result = job.result(60)
        assert (result.outcome, result.stdout, result.attempts) == (State.SUCCEEDED, "ran\n", 1)
        assert result.run_id not in first_runs
        assert job.facts()["losses"] == 1


def test_plain_celery_remote_control_ends_a_run(fleet: Fleet) -> None:
    fleet.worker(slots=1)
    job = fleet.client().submit_shell("sleep 300", env={"MARK": "revoked-1"}, grace=1)
    eventually(lambda: marked("revoked-1"))
    revoke = (
        "from scriptfleet_workers.app import app; import sys;"
        "app.control.revoke(sys.argv[1], terminate=True, signal='SIGTERM')"
    )
    subprocess.run([sys.executable, "-c", revoke, job.id], env=fleet.environment, check=True)

    assert job.wait(60) is State.CANCELLED
    assert marked("revoked-1") == []


def test_a_results_service_killed_and_started_again_shows_the_same_runs(fleet: Fleet) -> None:
    server = fleet.server()
    fleet.worker(slots=1)
    job = fleet.client().submit_shell("true")
    job.wait(30)
    eventually(lambda: [run for run in stored_runs(server) if run["outcome"]])
    before = json.dumps(stored_runs(server), sort_keys=True)
    server.process.end(signal.SIGKILL)

    again = fleet.server("server2")

    assert json.dumps(stored_runs(again), sort_keys=True) == before
