"""A fleet over an encrypted broker, with client certificates, as the user of docs/broker.md."""

import re
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from scriptfleet import Client
from scriptfleet.config import Settings
from scriptfleet.domain.state import State
from scriptfleet.errors import BrokerUnreachable
from tests.command import ROOT, one_line, scriptfleet
from tests.e2e.test_beat_and_flower import add_schedule
from tests.e2e.test_fleet_runs_jobs import stored_runs
from tests.eventually import eventually
from tests.fleet_parts import Fleet
from tests.flower import Flower
from tests.tls_server import TlsServer

NAMESPACE = "scriptfleet"


def documented_user() -> str:
    found = re.search(r"^user scriptfleet .*$", (ROOT / "docs" / "broker.md").read_text(), re.MULTILINE)
    assert found
    return found[0].replace("PASSWORD", "p/ss")


@pytest.fixture
def server() -> Iterator[TlsServer]:
    user = documented_user()
    poor = user.replace("user scriptfleet", "user poor") + " -xadd"
    poorer = user.replace("user scriptfleet", "user poorer") + " -info"
    with TlsServer([user, poor, poorer]) as made:
        yield made


@pytest.fixture
def fleet(server: TlsServer, sqlite_url: str, tmp_path: Path) -> Iterator[Fleet]:
    made = Fleet(tmp_path, server.url("scriptfleet", "p%2Fss"), NAMESPACE, sqlite_url)
    yield made
    made.stop()


def test_the_documented_user_suffices_for_client_worker_results_and_beat(fleet: Fleet, server: TlsServer) -> None:
    service, worker, beat = fleet.server(), fleet.worker(), fleet.beat()
    client = fleet.client()
    add_schedule(fleet, 1.0)

    printed = client.submit_code("print('hello')", name="hello.py")
    assert printed.result(30).stdout == "hello\n"
    assert "".join(printed.logs()) == "hello\n"
    failing = client.submit_shell("exit 3", retry=1)
    assert failing.result(30).outcome is State.FAILED
    running = client.submit_shell("sleep 60")
    eventually(lambda: running.state() is State.RUNNING)
    assert running.cancel()
    assert running.result(30).outcome is State.CANCELLED
    delayed = client.submit_shell("true", not_before=time.time() + 1)
    assert delayed.result(30).outcome is State.SUCCEEDED
    eventually(lambda: "slot_fired" in beat.log(), within=60)
    eventually(lambda: {"hello.py", "tick.py"} <= {run["name"] for run in stored_runs(service)}, within=60)
    listed = scriptfleet("ps", home=fleet.home, **{key: fleet.environment[key] for key in ("SCRIPTFLEET_REDIS_URL",)})
    assert listed.returncode == 0, listed.stderr
    worker.end()

    assert "p/ss" not in worker.log() + beat.log() + service.process.log()
    assert "p%2Fss" not in worker.log() + beat.log() + service.process.log()
    with server.admin() as admin:
        refused = {entry["object"] for entry in admin.acl_log() if entry["username"] == "scriptfleet"}
    # The client library introduces itself where it may.
    assert not refused - {"client|setinfo", "client"}


def test_flower_shows_workers_and_tasks_and_stops_a_run_as_the_documented_user(fleet: Fleet, server: TlsServer) -> None:
    fleet.worker()
    flower = Flower(fleet)
    name = fleet.view().workers()[0].name
    flower.await_worker(name)
    running = fleet.client().submit_shell("sleep 60", name="long.sh")
    eventually(lambda: running.state() is State.RUNNING)
    eventually(lambda: running.id in flower.tasks())

    assert flower.press(f"task/revoke/{running.id}", terminate="true").status_code == 200

    assert running.result(30).outcome is State.CANCELLED
    assert "Traceback" not in (fleet.home / "flower.log").read_text()
    assert "p%2Fss" not in (fleet.home / "flower.log").read_text()


def test_a_right_that_is_missing_is_said_plainly(server: TlsServer, tmp_path: Path) -> None:
    client = Client(settings=Settings(tmp_path, server.url("poor", "p%2Fss")))
    with pytest.raises(BrokerUnreachable, match=r"may not do all that is needed.*docs/broker\.md"):
        client.submit_shell("true")
    client.broker.redis.close()

    words = ("-m", "celery", "-A", "scriptfleet_workers.app", "worker", "-c", "1")
    fleet = Fleet(tmp_path, server.url("poorer", "p%2Fss"), NAMESPACE, f"sqlite:///{tmp_path / 'unused.db'}")
    worker = fleet.start("poorer", sys.executable, *words)
    assert worker.popen.wait(60) != 0
    assert "'info'" in worker.log()
    assert "Traceback" not in worker.log()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"ssl_ca_certs": ""}, "certificate verify failed"),
        ({"ssl_certfile": "", "ssl_keyfile": ""}, "ssl"),
        ({"ssl_ca_certs": "nowhere.crt"}, "No such file"),
    ],
)
def test_what_is_wrong_with_the_encryption_is_one_line(
    server: TlsServer, tmp_path: Path, changes: dict[str, str], said: str
) -> None:
    url = server.url("scriptfleet", "p%2Fss", **changes)
    line = one_line(scriptfleet("submit", "--shell", "true", home=tmp_path, SCRIPTFLEET_REDIS_URL=url))
    assert said.lower() in line.lower()
    assert "p%2Fss" not in line


def test_a_wrong_password_is_a_refused_login(server: TlsServer, tmp_path: Path) -> None:
    client = Client(settings=Settings(tmp_path, server.url("scriptfleet", uuid.uuid4().hex)))
    with pytest.raises(BrokerUnreachable, match="invalid username-password pair"):
        client.submit_shell("true")
    client.broker.redis.close()
