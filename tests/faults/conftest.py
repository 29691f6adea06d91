"""A fleet over a server of its own, which a test may kill; trials of faults, and the table of what they showed."""

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.broker_server import BrokerServer
from tests.command import ROOT
from tests.faults.figures_table import lines, write_json
from tests.faults.trial import SIZES, Figures, Size, Trial
from tests.fleet_parts import Fleet

_FIGURES = pytest.StashKey[list[Figures]]()


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
    yield from _fleet(broker.url, sqlite_url, tmp_path)


def _fleet(redis_url: str, database_url: str, home: Path) -> Iterator[Fleet]:
    made = Fleet(home, redis_url, f"t{uuid.uuid4().hex[:12]}", database_url)
    yield made
    made.stop()


@pytest.fixture
def size(request: pytest.FixtureRequest) -> Size:
    """How much is tried."""
    return SIZES[request.config.getoption("--faults-size")]


@pytest.fixture
def note(request: pytest.FixtureRequest) -> Callable[[Figures], None]:
    """Puts the figures of a trial into the table."""
    return request.config.stash.setdefault(_FIGURES, []).append


@pytest.fixture
def trial(fleet: Fleet, size: Size) -> Trial:
    """A trial over the fleet, with nothing started yet."""
    return Trial(fleet, size)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the table, where all trials were run by this process."""
    figures = config.stash.get(_FIGURES, [])
    if figures:
        size = config.getoption("--faults-size")
        path = ROOT / "benchmarks" / "out" / "faults.json"
        write_json(path, figures, size)
        terminalreporter.section(f"faults, {size}; also in {path.relative_to(ROOT)}")
        for line in lines(figures):
            terminalreporter.write_line(line)
