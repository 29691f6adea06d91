"""A fleet over a server of its own, which a test may kill."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.broker_server import BrokerServer
from tests.fleet_parts import Fleet


@pytest.fixture
def broker() -> Iterator[BrokerServer]:
    """A real server with an append-only file, running."""
    server = BrokerServer()
    server.start()
    yield server
    server.remove()


@pytest.fixture
def fleet(broker: BrokerServer, sqlite_url: str, tmp_path: Path) -> Iterator[Fleet]:
    """A fleet with nothing started yet."""
    made = Fleet(tmp_path, broker.url, f"t{uuid.uuid4().hex[:12]}", sqlite_url)
    yield made
    made.stop()
