"""What tests of the results service share, and those of interpreters that stay."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from scriptfleet.storage.engine import open_store
from tests.command import scriptfleet
from tests.kept_home import Home
from tests.results_service import Service, running


@pytest.fixture
def service(sqlite_url: str) -> Iterator[Service]:
    """A results service over a store of its own, with nothing in it."""
    database = open_store(sqlite_url)
    with running(database) as found:
        yield found
    database.close()


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    """A home of its own, in which no interpreter stays when the test has ended."""
    made = Home(tmp_path)
    yield made
    if made.folder.is_dir() and not made.folder.is_symlink():
        made.folder.chmod(0o700)
        scriptfleet("warm", "stop", "--all", home=tmp_path)
