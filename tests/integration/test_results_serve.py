"""The service as a process of its own: started, asked, stopped by a signal."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import redis

from tests import event_factory as make
from tests.broker_server import BrokerServer
from tests.eventually import eventually
from tests.integration.test_results_ingest import KEYS, send


def environment(home: Path, redis_url: str, **more: str) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("SCRIPTFLEET_")}
    return {**inherited, "SCRIPTFLEET_HOME": str(home), "SCRIPTFLEET_REDIS_URL": redis_url, **more}


def command(*options: str) -> list[str]:
    return [sys.executable, "-m", "scriptfleet.results", *options]


@contextmanager
def served(environ: dict[str, str], *options: str) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    process = subprocess.Popen(
        command("--port", "0", *options), env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("listening on http://127.0.0.1:"), line + process.communicate()[1]
        yield process, line.split()[-1]
    finally:
        process.kill()
        process.communicate()


def refused(environ: dict[str, str], *options: str) -> tuple[int, str]:
    ended = subprocess.run(command(*options), env=environ, capture_output=True, text=True, timeout=120, check=False)
    assert "Traceback" not in ended.stderr
    return ended.returncode, ended.stderr


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_events_come_in_answers_go_out_and_a_signal_ends_it_clean(
    tmp_path: Path, redis_url: str, redis_client: redis.Redis, stop: signal.Signals
) -> None:
    send(redis_client, [event for _ in range(5) for event in make.whole_job()])

    with served(environment(tmp_path, redis_url), "--migrate") as (process, url):
        eventually(lambda: len(httpx.get(f"{url}/api/v1/runs", timeout=60).json()["runs"]) == 5)
        assert httpx.get(f"{url}/readyz", timeout=60).status_code == 200
        assert (
            'scriptfleet_runs_total{kind="shell",outcome="succeeded"} 5.0'
            in httpx.get(f"{url}/metrics", timeout=60).text
        )
        process.send_signal(stop)
        assert process.wait(60) == 0

    assert redis_client.xlen(KEYS("events")) == 0


def test_what_was_stored_is_there_after_a_restart(tmp_path: Path, redis_url: str, redis_client: redis.Redis) -> None:
    send(redis_client, make.whole_job())
    environ = environment(tmp_path, redis_url)
    with served(environ, "--migrate") as (process, url):
        eventually(lambda: httpx.get(f"{url}/api/v1/runs", timeout=60).json()["runs"])
        process.kill()

    with served(environ) as (_, url):
        assert len(httpx.get(f"{url}/api/v1/runs", timeout=60).json()["runs"]) == 1


def test_a_broker_that_is_away_leaves_history_readable_and_readiness_says_it(tmp_path: Path) -> None:
    with served(environment(tmp_path, f"unix://{tmp_path}/none.sock"), "--migrate") as (_, url):
        assert httpx.get(f"{url}/api/v1/runs", timeout=60).json() == {"runs": [], "next_cursor": None}
        answer = httpx.get(f"{url}/readyz", timeout=60)
        assert (answer.status_code, answer.json()["parts"]["database"]) == (503, "ok")


def test_a_database_without_schema_is_refused_with_the_command_to_run(tmp_path: Path, redis_url: str) -> None:
    code, said = refused(environment(tmp_path, redis_url), "--port", "0")

    assert code == 125
    assert "run `scriptfleet db upgrade`" in said


def test_another_address_than_this_machine_is_refused_without_a_token(tmp_path: Path, redis_url: str) -> None:
    code, said = refused(environment(tmp_path, redis_url), "--host", "0.0.0.0", "--migrate")

    assert code == 2
    assert "SCRIPTFLEET_API_TOKEN" in said


def test_a_port_in_use_and_an_impossible_one_are_told_in_one_line(tmp_path: Path, redis_url: str) -> None:
    environ = environment(tmp_path, redis_url)
    with served(environ, "--migrate") as (_, url):
        code, said = refused(environ, "--port", url.rpartition(":")[2])
        assert (code, said.count("\n")) == (2, 1)
        assert "a port that is free on 127.0.0.1" in said

    for port in ("99999", "-1", "many"):
        assert refused(environ, "--port", port)[0] == 2
    assert refused(environ, "--host", "no.such.host.invalid")[0] == 2


def test_no_broker_at_all_is_told_with_what_to_set(tmp_path: Path) -> None:
    code, said = refused(environment(tmp_path, ""), "--migrate", "--port", "0")

    assert code == 2
    assert "SCRIPTFLEET_REDIS_URL" in said


def test_a_broker_that_stands_still_is_named_before_a_probe_gives_up(tmp_path: Path) -> None:
    broker = BrokerServer()
    broker.start()
    try:
        with served(environment(tmp_path, broker.url), "--port", "0", "--migrate") as (_, url):
            broker.send(signal.SIGSTOP)
            # As long as a probe of Kubernetes may be told to wait at most here; by itself it waits one second.
            answer = httpx.get(f"{url}/readyz", timeout=8.0)
            broker.send(signal.SIGCONT)

        assert answer.status_code == 503
        assert answer.json()["parts"]["broker"] != "ok"
        assert answer.json()["events_dead"] is None
    finally:
        broker.remove()
