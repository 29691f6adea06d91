"""What REST answers while a part is away, an answer is lost, or all places are taken; nothing is lost by it."""

import socket
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from typing import Any

import httpx
import pytest
import redis

from scriptfleet.results.rest import execute, parts
from scriptfleet.storage.engine import Database, open_store
from tests.broker_proxy import BrokerProxy, proxy_to
from tests.eventually import eventually
from tests.results_service import Service, running

NOWHERE = "redis://127.0.0.1:1/0"
JOB = "0a6e9f0e-5d83-4d0b-8f3c-0c2b9e2a7f10"
#: Each change that needs the broker.
CHANGES: list[tuple[str, str, dict[str, Any] | None]] = [
    ("POST", "/jobs", {"command": "true"}),
    ("POST", "/jobs/batch", {"jobs": [{"command": "true"}]}),
    ("POST", "/jobs/cancel", {"job_ids": [JOB]}),
    ("POST", f"/jobs/{JOB}/cancel", None),
    ("POST", f"/jobs/{JOB}/retry", None),
    ("POST", f"/jobs/{JOB}/rerun", {}),
    ("POST", "/execute", {"code": "1"}),
    ("POST", "/queues/q/pause", None),
    ("POST", "/queues/q/resume", None),
    ("POST", "/queues/q/purge", None),
    ("POST", "/workers/w/cordon", None),
    ("POST", "/workers/w/drain", None),
    ("POST", f"/dead/{JOB}/replay", None),
    ("DELETE", f"/dead/{JOB}", None),
]

Serving = Callable[..., AbstractContextManager[Service]]


@pytest.fixture
def store(sqlite_url: str) -> Iterator[Database]:
    database = open_store(sqlite_url)
    yield database
    database.close()


@pytest.fixture
def proxy(redis_client: redis.Redis, redis_url: str) -> Iterator[BrokerProxy]:
    with proxy_to(redis_url) as made:
        yield made


def ask(service: Service, method: str, path: str, **more: Any) -> httpx.Response:
    return service.client.request(method, f"/api/v1{path}", timeout=60, **more)


@pytest.mark.parametrize(("url", "code"), [(NOWHERE, "broker_unreachable"), ("", "no_broker")])
def test_without_a_broker_each_change_is_503_and_history_can_be_read(store: Database, url: str, code: str) -> None:
    with running(store, redis_url=url) as service:
        for method, path, body in CHANGES:
            answer = ask(service, method, path, json=body)
            assert (answer.status_code, answer.json()["code"]) == (503, code), f"{method} {path}: {answer.text}"
            assert answer.headers["retry-after"] == "5"
        assert ask(service, "GET", "/jobs").json() == {"jobs": [], "next_cursor": None}


def test_a_lost_answer_is_504_with_the_id_and_the_same_key_finds_the_job(store: Database, proxy: BrokerProxy) -> None:
    settings = {"redis_url": proxy.url, "namespace": f"t{uuid.uuid4().hex[:12]}"}
    key = {"Idempotency-Key": "once"}
    with running(store, **settings) as service:
        # The scripts are with the server: what is lost below is the answer to a submit.
        ask(service, "POST", "/jobs", json={"command": "true"})
        proxy.lose(1_000)
        lost = ask(service, "POST", "/jobs", json={"command": "echo"}, headers=key)
        proxy.lose(0)
        found = ask(service, "POST", "/jobs", json={"command": "echo"}, headers=key)

    assert (lost.status_code, lost.json()["code"]) == (504, "submit_uncertain")
    assert (found.status_code, lost.json()["job_ids"]) == (202, [found.json()["job_id"]])


def test_code_that_no_worker_takes_is_504_and_its_job_is_cancelled(
    store: Database, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("_QUEUE_SECONDS", "_GRACE_SECONDS", "_MARGIN_SECONDS"):
        monkeypatch.setattr(execute, name, 0.1)
    with running(store, redis_url=redis_url, namespace=f"t{uuid.uuid4().hex[:12]}") as service:
        answer = ask(service, "POST", "/execute", json={"code": "print(1)", "timeout": 0.1})
        job_id = answer.json()["job_id"]

        assert (answer.status_code, answer.json()["code"]) == (504, "wait_timed_out")
        assert ask(service, "GET", f"/jobs/{job_id}").json()["state"] in {"cancelled", "expired"}


def test_when_all_follow_that_may_the_next_is_503_and_others_are_served(
    store: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "FOLLOWERS", 3)
    with running(store, redis_url=NOWHERE) as service, ExitStack() as lines:
        held = [lines.enter_context(_watching(service)) for _ in range(3)]
        refused = ask(service, "GET", "/live")

        assert (refused.status_code, refused.json()["code"], refused.headers["retry-after"]) == (503, "busy", "5")
        assert "3 followers at once are the most" in refused.json()["detail"]
        assert ask(service, "GET", "/jobs").status_code == 200
        held[0].close()
        eventually(lambda: _may_watch(service))


def test_when_all_wait_that_may_a_submit_is_answered_at_once_and_code_is_refused(
    store: Database, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "WAITERS", 0)
    with running(store, redis_url=redis_url, namespace=f"t{uuid.uuid4().hex[:12]}") as service:
        submitted = ask(service, "POST", "/jobs?wait=60s", json={"command": "true"})
        refused = ask(service, "POST", "/execute", json={"code": "1"})

    assert (submitted.status_code, submitted.json()["state"]) == (202, "queued")
    assert (refused.status_code, refused.json()["code"]) == (503, "busy")


@pytest.mark.parametrize("name", ["../x.py", "/etc/cron.d/x", "a/b.py", "..", ".", "a\0b", "a\\..\\b"])
def test_a_script_is_named_by_no_path(store: Database, redis_client: redis.Redis, redis_url: str, name: str) -> None:
    namespace = f"t{uuid.uuid4().hex[:12]}"
    with running(store, redis_url=redis_url, namespace=namespace) as service:
        answer = ask(service, "POST", "/jobs", json={"script": {"name": name, "content": "print(1)"}})
        entries = list(redis_client.scan_iter(f"{{{namespace}}}:job:*"))

    assert (answer.status_code, answer.json().get("code")) == (422, "invalid_value"), answer.text
    assert entries == []


def _watching(service: Service) -> socket.socket:
    url = service.client.base_url
    line = socket.create_connection((url.host, url.port or 80))
    line.sendall(f"GET /api/v1/live HTTP/1.1\r\nHost: {url.host}\r\n\r\n".encode())
    assert line.recv(64).startswith(b"HTTP/1.1 200")
    return line


def _may_watch(service: Service) -> bool:
    with service.client.stream("GET", "/api/v1/live") as answer:
        return answer.status_code == 200
