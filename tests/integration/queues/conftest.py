"""A client and a worker's claims on a real server with nothing in it."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from scriptfleet import Client
from scriptfleet.config import Settings
from scriptfleet.domain.run import RunRecord
from scriptfleet.domain.state import State
from scriptfleet.domain.usage import Usage
from scriptfleet.queues.claims import LOSSES_ALLOWED, Claim, Claims, Ending, Finish, Renewal
from scriptfleet.queues.client import Broker
from scriptfleet.queues.message import template

KEEP_SECONDS = 60


class FakeWorker:
    """The broker's side of a worker, by hand: what it claims it never runs."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self.claims = Claims(broker.redis, broker.keys, "worker-1", KEEP_SECONDS)

    def claim(self, job_id: str, run_id: str = "run-1") -> Claim:
        """Claim a job that can be claimed."""
        claim = self.claims.claim(job_id, run_id)
        assert isinstance(claim, Claim), claim
        return claim

    def finish(self, claim: Claim, state: State = State.SUCCEEDED, delay: float = 0.0, text: str = "") -> bool:
        """End a run with a small record."""
        ended = self.claims.finish(Ending(claim.job_id, claim.run_id, record(claim, state, text), state, delay))
        return ended is Finish.DONE

    def lose(self, claim: Claim) -> None:
        """Let the lease run out at once, as if the worker had died long ago."""
        assert self.claims.renew([Renewal(claim.job_id, claim.run_id, -1.0)])[claim.run_id] in {"kept", "cancel"}

    def tick(self, doubt_ms: int = 10_000) -> list[int]:
        """Tick with another idea of when a message may be lost; give (moved, expired, rescued, resent)."""
        keep_ms = KEEP_SECONDS * 1000
        found: list[int] = self.broker.scripts.call("tick", template(), keep_ms, 200, LOSSES_ALLOWED, doubt_ms, 30_000)
        return found


def record(claim: Claim, state: State, text: str = "") -> str:
    """Give a record of a run as its worker would send it."""
    outcome = state if state.is_final else State.FAILED
    made = RunRecord(claim.run_id, claim.job_id, claim.attempt, "worker-1", "host", outcome, Usage(exit_code=3))
    data = made.to_dict()
    data["stdout"]["text"] = text
    return json.dumps(data)


@pytest.fixture
def client(redis_client: redis.Redis, redis_url: str, tmp_path: Path) -> Iterator[Client]:
    made = Client(settings=Settings(home=tmp_path, redis_url=redis_url))
    yield made
    made.broker.redis.close()


@pytest.fixture
def broker(client: Client) -> Broker:
    return client.broker


@pytest.fixture
def worker(broker: Broker) -> FakeWorker:
    return FakeWorker(broker)
