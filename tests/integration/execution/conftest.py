"""An engine for the tests of a file, and a bench that runs scripts on it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from scriptfleet.execution.engine import Engine
from tests.engine_bench import Bench


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    made = Engine()
    yield made
    made.close()


@pytest.fixture
def bench(engine: Engine, tmp_path: Path) -> Iterator[Bench]:
    made = Bench(engine, tmp_path, secrets={"TOKEN": "s3cret"})
    yield made
    assert made.alive() == [], "a run left processes behind"
