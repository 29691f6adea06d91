"""A job's page shows the script that travelled with it, as text, without its secrets."""

from collections.abc import Iterator
from html import unescape
from pathlib import Path

import pytest
import redis

from scriptfleet.config import Settings
from scriptfleet.queues import drafts
from scriptfleet.queues.client import Client
from scriptfleet.queues.drafts import Draft
from scriptfleet.storage.engine import open_store
from tests import event_factory as make
from tests.results_service import Service, running

JOB, RUN = "0a6e9f0e-5d83-4d0b-8f3c-0c2b9e2a7f10", "a" * 32
HOSTILE = "</pre><script>alert(1)</script>\u202e\x1b[2J"
MOST = 1 << 20


@pytest.fixture
def service(sqlite_url: str, redis_url: str, redis_client: redis.Redis) -> Iterator[Service]:
    """A service with a broker."""
    assert redis_client.ping()
    database = open_store(sqlite_url)
    with running(database, redis_url=redis_url) as service:
        yield service
    database.close()


def shown(service: Service, redis_url: str, draft: Draft) -> str:
    """Submit a job, and give the page of it."""
    Client(settings=Settings(Path("/nowhere"), redis_url=redis_url)).submit_draft(draft, JOB)
    service.store.apply([make.submitted(JOB, draft.spec)])
    return service.client.get(f"/jobs/{JOB}").text


def test_the_source_of_an_inline_job_is_text_without_its_secrets(service: Service, redis_url: str) -> None:
    code = f'print("rows")\nAPI_KEY = "hunter2"\n# {HOSTILE}\n'

    found = shown(service, redis_url, drafts.of_code(code, [], MOST))

    assert 'print("rows")\nAPI_KEY = "***"\n# </pre><script>alert(1)</script><U+202E>␛[2J' in unescape(found)
    assert "hunter2" not in found
    assert "<script>alert" not in found
    service.store.apply([make.claimed(JOB, RUN)])
    assert f'href="/jobs/{JOB}#source">inline.py</a>' in service.client.get(f"/runs/{RUN}").text


def test_of_a_folder_the_file_that_runs_is_shown_and_of_a_long_one_its_beginning(
    service: Service, redis_url: str, tmp_path: Path
) -> None:
    (tmp_path / "main.py").write_text("print('main')\n" + "x" * 70_000 + "THE END")
    (tmp_path / "a.py").write_text("print('another')\n")

    found = shown(service, redis_url, drafts.of_script(tmp_path, [], MOST))

    assert "print(&#39;main&#39;)" in found
    assert "The first 64 KiB of it." in found
    assert "THE END" not in found
    assert "another" not in found


def test_a_source_that_the_broker_let_go_is_told_of(
    service: Service, redis_url: str, redis_client: redis.Redis
) -> None:
    shown(service, redis_url, drafts.of_code("print(1)", [], MOST))
    keys = list(redis_client.scan_iter("*blob*"))
    redis_client.delete(*keys)

    assert "no longer in the broker" in service.client.get(f"/jobs/{JOB}").text


def test_what_each_kind_runs_is_told(service: Service, redis_url: str) -> None:
    made = [
        (drafts.of_function("json:dumps", [{"a": 1}], {"sort_keys": True, "api_key": "hunter2"}, MOST), "json:dumps"),
        (drafts.of_http("http://example.org/x?key=hunter2", "POST", headers={"X-Api-Key": "hunter2"}), "POST http://"),
        (drafts.of_file_operation("copy", "/srv/a", "/srv/b"), "/srv/b"),
        (drafts.of_command("curl -H 'Authorization: Bearer hunter2' x"), "Authorization: ***"),
        (drafts.of_code("print(1)", ["--token", "hunter2"], MOST), "--token ***"),
        (drafts.of_command("true", env={"DB_PASSWORD": "hunter2", "LANG": "C"}), "DB_PASSWORD=***, LANG=C"),
    ]
    for at, (draft, told) in enumerate(made):
        job = f"{JOB[:-1]}{at}"
        service.store.apply([make.submitted(job, draft.spec)])

        found = service.client.get(f"/jobs/{job}").text

        assert told in found
        assert "hunter2" not in found
