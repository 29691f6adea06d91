"""What `scriptfleet submit` and `worker` are told reaches the run, and `scriptfleet status` shows it live."""

import http.server
import json
import os
import socketserver
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from scriptfleet.domain.state import State
from scriptfleet.storage.paging import PageRequest
from scriptfleet.storage.run_filter import RunFilter
from scriptfleet.storage.run_store import RunRow
from tests.command import scriptfleet
from tests.conftest import missing
from tests.eventually import eventually
from tests.fleet_parts import Fleet

BUSY = """
import os
from scriptfleet import report
report.progress(0.4, "loading \\x1b[31mrows")
open("plot.png", "wb").write(b"pixels" * 1000)
report.artifact("plot.png")
ballast = bytearray(64 << 20)
while not os.path.exists(os.environ["GO"]):
    pass
"""


def call(fleet: Fleet, *words: str) -> "CompletedProcess[str]":
    settings = {name: value for name, value in fleet.environment.items() if name.startswith("SCRIPTFLEET_")}
    return scriptfleet(*words, **{**settings, "home": fleet.home, "SCRIPTFLEET_HOME": str(fleet.home)})  # type: ignore[arg-type]


def answer(fleet: Fleet, *words: str) -> dict[str, Any]:
    """Give what a verb answers with --json."""
    result = call(fleet, *words, "--json")
    assert result.stdout, result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def facts(text: str) -> dict[str, str]:
    return {line[:12].strip(): line[12:].strip() for line in text.splitlines()}


def test_status_shows_a_live_reading_and_afterwards_what_was_kept(fleet: Fleet, tmp_path: Path) -> None:
    fleet.server()
    fleet.worker()
    go = tmp_path / "go"
    job_id = call(fleet, "submit", "--code", BUSY, "--env", f"GO={go}").stdout.strip()

    def reading() -> dict[str, Any] | bool:
        now: dict[str, Any] = answer(fleet, "status", job_id).get("now", {})
        return now if now.get("cpu_percent", 0) > 5 and now.get("memory_mb", 0) > 64 and "progress" in now else False

    now = eventually(reading, within=60)
    shown = call(fleet, "status", job_id).stdout

    assert isinstance(now, dict)
    assert (now["progress"], now["processes"]) == (0.4, 1)
    assert now["seconds"] > 0
    for name, unit in (("CPU now", "%"), ("memory now", "MiB"), ("elapsed", "s")):
        assert f"{name} " in shown
        assert facts(shown)[name].endswith(unit)
    assert "loading" in shown
    assert "\x1b" not in shown
    go.touch()

    fleet.client().job(job_id).result(30)
    kept = answer(fleet, "status", job_id)
    assert "now" not in kept
    assert [(one["name"], one["size_bytes"]) for one in kept["artifacts"]] == [("plot.png", 6000)]
    assert "plot.png  6,000 bytes" in call(fleet, "status", job_id).stdout
    forgotten_by_the_broker(fleet, job_id)
    assert answer(fleet, "status", job_id)["artifacts"] == kept["artifacts"]
    assert answer(fleet, "wait", job_id)["artifacts"] == kept["artifacts"]


def forgotten_by_the_broker(fleet: Fleet, job_id: str) -> None:
    """Wait until the store has the job's end, then have the broker forget it, as it does after some hours."""

    def is_stored() -> bool:
        return any(run.outcome for run in stored_runs(fleet, job_id))

    eventually(is_stored, within=60)
    broker = fleet.client().broker
    broker.redis.delete(broker.keys("job", job_id))


def stored_runs(fleet: Fleet, job_id: str) -> list[RunRow]:
    return fleet.runs().page(RunFilter(job_id=job_id), PageRequest(10)).items


class Echo(http.server.BaseHTTPRequestHandler):
    """Answers with what it was sent."""

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        said = f"{self.headers['Authorization']} {self.headers['X-Note']} {body}".encode()
        self.send_response(201)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


@pytest.fixture
def echo() -> Iterator[str]:
    """The address of a server that answers with what it was sent."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Echo) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://localhost:{server.server_address[1]}/"
        server.shutdown()
        thread.join()


def test_a_request_is_made_as_the_options_say_and_its_secret_is_not_shown(fleet: Fleet, echo: str) -> None:
    fleet.worker(env={"SCRIPTFLEET_HTTP_ALLOW": "localhost", "SCRIPTFLEET_SECRET_TOKEN": "hush-hush"})
    request = ["--method", "PUT", "--header", "X-Note: from me", "--body", "the body", "--bearer", "TOKEN"]

    result = call(fleet, "submit", "--wait", "--http", echo, *request)
    told = answer(fleet, "submit", "--wait", "--http", echo, *request)

    assert (result.returncode, result.stdout) == (0, "Bearer *** from me the body")
    assert told["metrics"]["custom.http.status"] == 201.0
    assert "hush-hush" not in json.dumps(told)


def test_a_job_is_set_apart_as_the_options_say(fleet: Fleet, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        missing("root, which isolation by namespaces and as another user is tested as")
    fleet.worker()
    look = "id -un; grep -o '^ *[a-z0-9]*:' /proc/net/dev; ls /tmp | grep -c secret-mark; "
    look += "touch /usr/share/mine 2>&1 | grep -o 'Read-only'"
    mark = Path("/tmp") / f"secret-mark-{os.getpid()}"
    mark.touch()
    try:
        told = answer(
            fleet,
            *("submit", "--wait", "--shell", look),
            *("--user", "nobody", "--no-network", "--private-tmp", "--read-only", "/usr", "--no-new-privileges"),
        )
    finally:
        mark.unlink()

    assert told["stdout"].splitlines() == ["nobody", "    lo:", "0", "Read-only"], told
    assert (told["metrics"]["network_rx_bytes"], told["metrics"]["network_tx_bytes"]) == (0, 0)


def test_a_user_that_the_worker_s_machine_does_not_have_is_refused_by_name(fleet: Fleet) -> None:
    fleet.worker()

    told = answer(fleet, "submit", "--wait", "--shell", "true", "--user", "no-such-user")

    assert (told["outcome"], told["exit_code"]) == (str(State.REJECTED), 125)
    assert "isolation.user: 'no-such-user'" in told["metrics"]["error_message"]


def test_a_warm_worker_starts_jobs_from_the_interpreter_that_it_has_preloaded(fleet: Fleet) -> None:
    command = [sys.executable, "-m", "scriptfleet", "worker", "--warm", "--preload", "json,decimal"]
    process = fleet.start("warm", *command, "--concurrency", "2", "--name", "warm")
    fleet.await_worker("warm", process)
    # A fresh interpreter has neither of them, and its command line names the script.
    look = "import sys; print(*(name in sys.modules for name in ('json', 'decimal', 'colorsys')))"
    look += "; print(open('/proc/self/cmdline').read())"
    submit = ("submit", "--wait", "--code", look)

    plain, warm, other = (
        answer(fleet, *submit, *options) for options in ([], ["--warm"], ["--warm", "--preload", "colorsys"])
    )
    cold = answer(fleet, *submit, "--interpreter", sys.executable)

    assert [told["stdout"].split("\n")[0] for told in (plain, warm, other, cold)] == [
        "True True False",
        "True True False",
        "False False True",
        "False False False",
    ]
    assert ["shim.launcher" in told["stdout"] for told in (plain, warm, other, cold)] == [True, True, True, False]
    assert [told["exit_code"] for told in (plain, warm, other, cold)] == [0, 0, 0, 0]
