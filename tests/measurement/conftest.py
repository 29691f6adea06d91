"""An engine for each way of measuring: the best this machine offers, and the one that is always there."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from scriptfleet.execution.cgroups.find import Method
from scriptfleet.execution.engine import Engine
from tests.engine_bench import Bench


@pytest.fixture(scope="module", params=[Method.AUTO, Method.RUSAGE], ids=["best", "rusage"])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    made = Engine(method=request.param)
    yield made
    made.close()


@pytest.fixture
def bench(engine: Engine, tmp_path: Path) -> Bench:
    return Bench(engine, tmp_path)
