"""Kinds of job and what scripts say back, over real processes: producer, broker, worker, results service."""

import http.server
import json
import sys
import threading
from pathlib import Path

import pytest

from scriptfleet import State
from scriptfleet.domain import kinds
from scriptfleet.errors import BlobMissing, InvalidValue
from tests.eventually import eventually
from tests.fleet_parts import Fleet
from tests.unit.execution.test_executors_registry import install

SPEAKS = """
import os, time
from scriptfleet import report
report.metric("rows", 120)
report.progress(0.4, "loading")
open("plot.png", "wb").write(b"pixels" * 1000)
report.artifact("plot.png")
while not os.path.exists(os.environ["GO"]):
    time.sleep(0.02)
"""


def live_reading(fleet: Fleet, job_id: str) -> dict[str, object]:
    broker = fleet.client().broker
    found = broker.redis.hget(broker.keys("live"), job_id)
    reading: dict[str, object] = json.loads(found) if found else {}
    return reading


def test_progress_is_seen_live_and_measures_and_files_arrive(fleet: Fleet, tmp_path: Path) -> None:
    server = fleet.server()
    fleet.worker()
    go = tmp_path / "go"
    job = fleet.client().submit_code(SPEAKS, env={"GO": str(go)})

    reading = eventually(lambda: found if "progress" in (found := live_reading(fleet, job.id)) else False, within=60)
    assert (reading["progress"], reading["message"]) == (0.4, "loading")
    with pytest.raises(InvalidValue, match="none yet"):
        job.artifact("plot.png")
    go.touch()

    result = job.result(30)
    assert (result.outcome, result.usage.custom) == (State.SUCCEEDED, {"rows": 120.0})
    assert [(one.name, one.size_bytes) for one in result.artifacts] == [("plot.png", 6000)]
    assert job.artifact("plot.png") == b"pixels" * 1000
    with pytest.raises(InvalidValue, match=r"plot\.png"):
        job.artifact("other.png")

    broker = fleet.client().broker
    life = broker.redis.ttl(broker.keys("blob", result.artifacts[0].sha256))
    assert 0 < life <= 6 * 3600
    broker.redis.delete(broker.keys("blob", result.artifacts[0].sha256))
    with pytest.raises(BlobMissing):
        job.artifact("plot.png")

    def stored() -> dict[str, object]:
        answer = server.get(f"/api/v1/runs/{result.run_id}")
        assert answer.status_code == 200
        run: dict[str, object] = answer.json()
        assert run["outcome"]
        return run

    assert eventually(stored, within=60)["usage"]["custom.rows"] == 120.0  # type: ignore[index]


class Hello(http.server.BaseHTTPRequestHandler):
    """Answers with the key it was given."""

    def do_GET(self) -> None:
        self.send_response(200 if self.headers["X-Key"] == "k3y-of-the-fleet" else 401)
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


def test_http_and_file_jobs_obey_the_worker_s_rules(fleet: Fleet, tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    fleet.worker(
        env={
            "SCRIPTFLEET_HTTP_ALLOW": "localhost",
            "SCRIPTFLEET_FILE_ROOTS": str(shared),
            "SCRIPTFLEET_SECRET_KEY": "k3y-of-the-fleet",
        }
    )
    listener = http.server.HTTPServer(("127.0.0.1", 0), Hello)
    thread = threading.Thread(target=listener.serve_forever)
    thread.start()
    client = fleet.client()
    auth = {"type": "api_key", "name": "X-Key", "value": {"secret": "KEY"}}
    try:
        asked = client.submit_http(f"http://localhost:{listener.server_port}/", auth=auth).result(30)
        barred = client.submit_http(f"http://127.0.0.1:{listener.server_port}/").result(30)
    finally:
        listener.shutdown()
        thread.join()
        listener.server_close()
    created = client.submit_file_operation("create", None, shared / "new", settings={"content": "x"}).result(30)
    refused = client.submit_file_operation("create", None, tmp_path / "new").result(30)

    assert (asked.outcome, asked.stdout) == (State.SUCCEEDED, "hello")
    assert asked.usage.custom["http.status"] == 200.0
    assert barred.outcome is State.FAILED
    assert "SCRIPTFLEET_HTTP_ALLOW" in barred.stderr
    assert (created.outcome, (shared / "new").read_text()) == (State.SUCCEEDED, "x")
    assert refused.outcome is State.FAILED
    assert "path not allowed" in refused.stderr


def test_an_allow_list_that_cannot_be_read_keeps_the_worker_from_starting(fleet: Fleet) -> None:
    command = [sys.executable, "-m", "celery", "-A", "scriptfleet_workers.app", "worker", "-Q", "default"]
    process = fleet.start("worker", *command, env={"SCRIPTFLEET_HTTP_ALLOW": "10.0.0.0/99"})

    assert process.popen.wait(30) != 0
    assert "SCRIPTFLEET_HTTP_ALLOW: '10.0.0.0/99' is not accepted" in process.log()


def test_a_worker_runs_the_kinds_of_installed_packages_one_at_a_time_where_they_ask_for_it(
    fleet: Fleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packages = tmp_path / "packages"
    packages.mkdir()
    install(packages)
    plugin = packages / "countdown_plugin.py"
    counting = "n=$(ls | wc -l); mktemp ./run.XXXXXX >/dev/null; sleep 0.3; rm -f run.*; echo together $n"
    plugin.write_text(plugin.read_text().replace("echo $1", counting))
    worker = fleet.worker(slots=3, env={"PYTHONPATH": str(packages)})
    monkeypatch.syspath_prepend(packages)
    # What this process learns of the package is forgotten after the test.
    monkeypatch.setattr(kinds, "_CHECKS", dict(kinds._CHECKS))
    shared = tmp_path / "shared"
    shared.mkdir()

    client = fleet.client()
    jobs = [client.submit_kind("countdown", {"from": 3}, working_dir=shared) for _ in range(3)]
    bad = client.submit_kind("countdown", {"from": "three"})
    results = [job.result(30) for job in jobs]
    rejected = bad.result(30)

    assert [one.stdout for one in results] == ["together 0\n"] * 3
    assert rejected.outcome is State.REJECTED
    assert "config.from" in (rejected.usage.error_message or "")
    assert "executor_left_out kind=broken" in worker.log()
