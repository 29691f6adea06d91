"""A fleet for each test."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fleet_parts import Fleet


@pytest.fixture
def fleet(redis_url: str, sqlite_url: str, tmp_path: Path) -> Iterator[Fleet]:
    """A fleet with nothing started yet, in a namespace of its own."""
    made = Fleet(tmp_path, redis_url, f"t{uuid.uuid4().hex[:12]}", sqlite_url)
    yield made
    made.stop()
