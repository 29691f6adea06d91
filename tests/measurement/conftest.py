"""An engine for each way of measuring: the best this machine offers, the one of any Linux, the one of any system."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from scriptfleet.execution.cgroups.find import find_hierarchy
from scriptfleet.execution.cgroups.method import Method
from scriptfleet.execution.engine import Engine
from tests.engine_bench import Bench


@pytest.fixture(scope="module", params=[None, Method.RUSAGE, Method.SAMPLED], ids=["best", "rusage", "sampled"])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    # Named, so that every run is accounted so; by itself the engine does it only where a limit wants it.
    made = Engine(method=request.param or find_hierarchy().method)
    yield made
    made.close()


@pytest.fixture
def bench(engine: Engine, tmp_path: Path) -> Bench:
    return Bench(engine, tmp_path)
