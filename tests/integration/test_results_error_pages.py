"""What people see when a page cannot be had, and a number by which the service's own log tells of it."""

import logging
import re
import uuid
from collections.abc import Iterator
from contextlib import closing
from html import unescape

import httpx
import pytest
import redis
import sqlalchemy as sa

from scriptfleet.domain.role import Role
from scriptfleet.storage.engine import Database, open_store
from scriptfleet.storage.token_store import TokenStore
from tests import event_factory as make
from tests.broker_server import BrokerServer
from tests.eventually import eventually
from tests.results_service import Service, running

PAGE = {"Accept": "text/html"}
JOB, RUN = "0a6e9f0e-5d83-4d0b-8f3c-0c2b9e2a7f10", "a" * 32


@pytest.fixture
def store(sqlite_url: str) -> Iterator[Database]:
    with closing(open_store(sqlite_url)) as database:
        yield database


def checked(answer: httpx.Response, status: int, code: str, log: str) -> str:
    """Look at a page that tells of a problem; give its text."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    text = unescape(re.sub(r"<[^>]+>", " ", answer.text))
    number = answer.headers["x-request-id"]
    for part in (
        '<nav aria-label="Main">',
        'rel="stylesheet" href="/style.css',
        "<h1>",
        f'<span class="id">{number}</span>',
    ):
        assert part in answer.text, part
    assert "Traceback" not in answer.text
    assert code in text
    assert f"request={number} " in log
    return text


def test_each_problem_has_a_page_in_the_same_frame_with_its_number_in_the_log(
    store: Database, redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with running(store, redis_url=redis_url, namespace=f"t{uuid.uuid4().hex[:12]}", blob_max_bytes=1_000) as service:
        ask = service.client
        service.store.apply([make.submitted(JOB), make.claimed(JOB, RUN), make.finished(make.record(JOB, RUN))])

        missing = ask.get("/runs/nowhere", headers=PAGE)
        assert "mistyped" in checked(missing, 404, "run_not_found", caplog.text)
        assert ">Submit a job</a>" in missing.text
        elsewhere = ask.post("/submit", headers={**PAGE, "Origin": "http://evil.example"})
        assert "load the page again" in checked(elsewhere, 403, "cross_site", caplog.text)
        ended = ask.post(f"/jobs/{JOB}/cancel", headers=PAGE)
        assert "already ended: succeeded" in checked(ended, 409, "job_ended", caplog.text)
        large = ask.post("/submit", content=b"x" * 1_500_000, headers=PAGE)
        assert "smaller script" in checked(large, 413, "body_too_large", caplog.text)
        assert 'href="/account"' in large.text
        with store.writing() as connection:
            connection.execute(sa.text("UPDATE runs SET outcome = 'nonsense'"))
        failed = ask.get(f"/runs/{RUN}", headers=PAGE)
        assert "Try it again" in checked(failed, 500, "internal_error", caplog.text)
        assert "nonsense" not in failed.text
        assert f"request_failed request={failed.headers['x-request-id']}" in caplog.text
    with running(store) as service:
        away = service.client.get("/fleet", headers=PAGE)
        assert "in some seconds" in checked(away, 503, "no_broker", caplog.text)
        assert away.headers["retry-after"] == "5"


def test_who_may_not_is_told_so_and_who_is_not_known_makes_no_line_in_the_log(
    store: Database, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with running(store) as service:
        bearer = {**PAGE, "Authorization": f"Bearer {TokenStore(store).add('ann', Role.VIEWER, 'test')}"}
        eventually(lambda: service.client.get("/api/v1/jobs").status_code == 401)
        refused = service.client.get("/audit", headers=bearer)
        assert "Log in with a token" in checked(refused, 403, "role_too_low", caplog.text)
        assert ">ann</a>" in refused.text
        unknown = service.client.post("/submit", headers=PAGE)

    assert unknown.status_code == 401
    assert unknown.headers["x-request-id"] not in caplog.text
    assert unknown.headers["x-request-id"] not in unknown.text


@pytest.fixture
def full() -> Iterator[str]:
    """A broker that has reached its limit of memory; it evicts nothing."""
    broker = BrokerServer()
    broker.start()
    with redis.Redis.from_url(broker.url) as client:
        client.set("filler", b"x" * 4_000_000)
        client.config_set("maxmemory", 3_000_000)
    yield broker.url
    broker.remove()


def test_a_full_broker_is_503_over_rest_and_the_form_keeps_what_was_typed(store: Database, full: str) -> None:
    typed = {"kind": "python", "source": "\r\nprint('</textarea>')", "name": "kept.py", "timeout": "90", "nonce": "n1"}
    with running(store, redis_url=full) as service:
        for path, body in (("jobs", {"command": "true"}), ("jobs/batch", {"jobs": [{"command": "true"}]})):
            answer = service.client.post(f"/api/v1/{path}", json=body)
            assert (answer.status_code, answer.json()["code"]) == (503, "broker_full"), answer.text
            assert answer.headers["retry-after"] == "5"
            assert "give it more maxmemory" in answer.json()["detail"]
        page = service.client.post("/submit", data=typed, headers=PAGE)
        with redis.Redis.from_url(full) as client:
            client.config_set("maxmemory", 0)
        again = [service.client.post("/submit", data=typed, headers=PAGE) for _ in range(2)]

    assert (page.status_code, page.headers["retry-after"]) == (503, "5")
    for kept in (
        "takes no new job",
        "\n\r\nprint(&#39;&lt;/textarea&gt;&#39;)</textarea>",
        'value="kept.py"',
        'value="90"',
    ):
        assert kept in page.text, kept
    assert re.search(r'value="python"\s+checked', page.text)
    # Sent twice it is one job.
    assert [one.status_code for one in again] == [303, 303]
    assert again[0].headers["location"] == again[1].headers["location"]


@pytest.mark.parametrize(("field", "said"), [("timeout", "soon"), ("retries", "nan"), ("retries", "1.5")])
def test_a_form_that_cannot_be_is_told_beside_what_was_typed(service: Service, field: str, said: str) -> None:
    answer = service.client.post("/submit", data={"source": "true", field: said}, headers=PAGE)

    assert answer.status_code == 422
    assert f'role="alert">{field}: &#39;{said}&#39; is not accepted' in answer.text
    assert f'value="{said}"' in answer.text


@pytest.fixture
def service(store: Database, redis_url: str) -> Iterator[Service]:
    with running(store, redis_url=redis_url) as found:
        yield found
