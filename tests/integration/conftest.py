"""What tests of the results service share."""

from collections.abc import Iterator

import pytest

from scriptfleet.storage.engine import open_store
from tests.results_service import Service, running


@pytest.fixture
def service(sqlite_url: str) -> Iterator[Service]:
    """A results service over a store of its own, with nothing in it."""
    database = open_store(sqlite_url)
    with running(database) as found:
        yield found
    database.close()
