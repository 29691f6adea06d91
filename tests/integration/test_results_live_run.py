"""What the page of a run that goes on is sent, whatever its worker's version."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from scriptfleet.config import Settings
from scriptfleet.queues.keys import Keys
from scriptfleet.storage.engine import open_store
from tests import event_factory as make
from tests.results_service import Service, running

JOB, RUN = "0a6e9f0e-5d83-4d0b-8f3c-0c2b9e2a7f10", "a" * 32


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
