"""What the page of a run that goes on is sent, whatever its worker's version."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from scriptfleet.config import Settings
from scriptfleet.queues.fleet import Presence, SignOfLife
from scriptfleet.queues.keys import Keys
from scriptfleet.storage.engine import open_store
from tests import event_factory as make
from tests.results_service import Service, running

JOB, RUN = "0a6e9f0e-5d83-4d0b-8f3c-0c2b9e2a7f10", "a" * 32
NOBODY = "0a6e9f0e-5d83-4d0b-8f3c-0c2b9e2a7f11"


@pytest.fixture
def live(sqlite_url: str, redis_url: str, redis_client: redis.Redis) -> Iterator[Service]:
    """A service with one run under way."""
    database = open_store(sqlite_url)
    with running(database, redis_url=redis_url) as service:
        service.store.apply([make.submitted(JOB), make.claimed(JOB, RUN)])
        yield service
    database.close()


def first_reading(service: Service) -> dict[str, Any]:
    with service.client.stream("GET", f"/runs/{RUN}/events") as answer:
        lines = answer.iter_lines()
        next(line for line in lines if line == "event: reading")
        found: dict[str, Any] = json.loads(next(line for line in lines if line.startswith("data:"))[5:])
        return found


@pytest.mark.parametrize("more", [[], [512, 1024], [512, 1024, 7.5]])
def test_points_of_an_older_or_a_newer_worker_are_drawn(
    live: Service, redis_client: redis.Redis, more: list[float]
) -> None:
    curve = [[float(at), 50.0, 20.0, 1, *more] for at in range(2)]
    keys = Keys(Settings(Path("/nowhere")).namespace)
    redis_client.hset(keys("live"), JOB, json.dumps({"curve": curve}))

    seconds, cpu, memory, *_ = first_reading(live)["curve"]

    assert (seconds, cpu, memory) == ([0.0, 1.0], [50.0, 50.0], [20.0, 20.0])


def test_the_samples_of_a_run_that_goes_on_are_its_curve_so_far_and_asking_has_it_told_closely(
    live: Service, redis_client: redis.Redis
) -> None:
    keys = Keys(Settings(Path("/nowhere")).namespace)
    address = f"/api/v1/runs/{RUN}/samples"
    nothing = live.client.get(address).json()
    redis_client.hset(keys("live"), JOB, json.dumps({"curve": [[1.0, 50.0, 20.0, 1, 512, 1024], [2.0, 60.0, 21.0, 2]]}))
    redis_client.hset(keys("job", JOB), "claim", "b" * 32)
    of_another_attempt = live.client.get(address).json()
    redis_client.hset(keys("job", JOB), "claim", RUN)
    found = live.client.get(address).json()

    assert (nothing["is_live"], nothing["seconds"], of_another_attempt["seconds"]) == (True, [], [])
    assert (found["is_live"], found["seconds"], found["cpu_percent"]) == (True, [1.0, 2.0], [50.0, 60.0])
    assert (found["memory_mb"], found["processes"]) == ([20.0, 21.0], [1, 2])
    assert (found["block_io_read_bytes"], found["block_io_write_bytes"]) == ([512, None], [1024, None])
    assert redis_client.exists(keys("looked_at", JOB))
    live.store.apply([make.finished(make.record(JOB, RUN))])
    assert live.client.get(address).json()["is_live"] is False


def test_the_overview_shows_what_each_run_that_goes_on_takes_just_now(live: Service, redis_client: redis.Redis) -> None:
    keys = Keys(Settings(Path("/nowhere")).namespace)
    hostile = "<img src=x>\u202eloading"
    said = {"cpu_percent": 187.4, "memory_mb": 1234.5, "progress": 0.4, "message": hostile}
    redis_client.hset(keys("live"), JOB, json.dumps(said))

    found = live.client.get("/").text

    for text in ("187 %", "1,234.5 MiB", "40 % · &lt;img src=x&gt;&lt;U+202E&gt;loading"):
        assert text in found
    assert " so far</span>" in live.client.get("/runs").text


def test_a_job_that_the_store_alone_knows_is_told_as_it_stands_by_each_order_about_it(live: Service) -> None:
    form = {"Accept": "text/html"}

    def told(path: str, method: str = "POST") -> tuple[int, str, str | None]:
        answer = live.client.request(method, f"/api/v1{path}")
        return answer.status_code, answer.json()["code"], answer.json().get("state")

    assert told(f"/jobs/{JOB}/cancel") == (409, "job_forgotten", "running")
    live.store.apply([make.finished(make.record(JOB, RUN))])
    for order in ("cancel", "cancel?wait=1s"):
        assert told(f"/jobs/{JOB}/{order}") == (409, "job_ended", "succeeded")
    assert told(f"/dead/{JOB}/replay") == (409, "not_dead", "succeeded")
    assert told(f"/dead/{JOB}", "DELETE") == (409, "not_dead", "succeeded")
    assert live.client.get(f"/api/v1/jobs/{JOB}?wait=1s").json()["state"] == "succeeded"
    for order in (f"/jobs/{NOBODY}/cancel", f"/jobs/{NOBODY}/retry", f"/dead/{NOBODY}/replay"):
        assert told(order) == (404, "job_not_found", None)
    refused = live.client.post(f"/jobs/{JOB}/cancel", headers=form)
    assert (refused.status_code, "has already ended: succeeded" in refused.text) == (409, True)
    assert live.client.post(f"/dead/{NOBODY}/replay", headers=form).status_code == 404


def test_an_order_to_a_worker_that_is_not_there_is_404_over_rest_and_on_the_page(live: Service) -> None:
    for order in ("cordon", "uncordon", "drain"):
        answer = live.client.post(f"/api/v1/workers/w9@nowhere/{order}")
        assert (answer.status_code, answer.json()["code"]) == (404, "worker_not_found")
        page = live.client.post(f"/workers/w9@nowhere/{order}", headers={"Accept": "text/html"})
        assert page.status_code == 404
        assert "worker not found: w9@nowhere" in page.text
    assert live.client.post("/workers/w9@nowhere/dance").status_code == 422


def test_who_orders_something_of_a_worker_is_told_so_on_the_page(live: Service, redis_client: redis.Redis) -> None:
    keys, form = Keys(Settings(Path("/nowhere")).namespace), {"Accept": "text/html"}
    Presence(redis_client, keys, "w1@host").tell(SignOfLife("host", 2, 0, ["default"], "0.1.0"))

    answer = live.client.post("/workers/w1@host/cordon", headers=form)
    page = live.client.get(answer.headers["location"], headers=form).text

    assert answer.headers["location"] == "/fleet?told=cordon&worker=w1%40host"
    assert "w1@host was told to cordon" in page
    for untrue in ("told=cordon&worker=w9", "told=stop&worker=w1%40host"):
        assert "was told" not in live.client.get(f"/fleet?{untrue}", headers=form).text


def test_a_job_that_waits_says_why_over_rest_and_on_its_page(live: Service) -> None:
    live.client.post("/api/v1/queues/aside/pause")
    job_id = live.client.post("/api/v1/jobs", json={"command": "true", "queue": "aside"}).json()["job_id"]
    told = live.client.get(f"/api/v1/jobs/{job_id}").json()
    live.store.apply([make.submitted(job_id)])
    page = live.client.get(f"/jobs/{job_id}", headers={"Accept": "text/html"}).text
    live.client.post(f"/api/v1/jobs/{job_id}/cancel")

    assert (told["state"], told["is_stored"]) == ("queued", False)
    assert told["why_waits"].startswith("queue aside is paused")
    assert "It has not started yet: queue aside is paused" in page
    assert live.client.get(f"/api/v1/jobs/{job_id}").json()["why_waits"] is None
