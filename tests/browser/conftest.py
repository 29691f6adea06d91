"""A browser, and a fleet of real processes for all tests of it."""

import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from scriptfleet.storage.migrate import upgrade
from tests.conftest import missing
from tests.fleet_parts import Fleet, Server


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium of this machine."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        missing("a browser (Debian's package chromium)")
    with sync_playwright() as play:
        # No sandbox, which a container does not let it make: it opens pages of our own alone.
        launched = play.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def service(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Fleet, Server]]:
    """A worker and the results service."""
    home: Path = tmp_path_factory.mktemp("fleet")
    url = f"sqlite:///{home}/store.db"
    upgrade(url)
    fleet = Fleet(home, redis_url, f"t{uuid.uuid4().hex[:12]}", url)
    server = fleet.server()
    fleet.worker()
    yield fleet, server
    fleet.stop()


@pytest.fixture
def page(browser: Browser, service: tuple[Fleet, Server]) -> Iterator[Page]:
    """A page of a browser that knows nothing yet; whatever a page's own program complains of fails the test."""
    faults: list[str] = []
    with browser.new_context(base_url=service[1].url, viewport={"width": 1280, "height": 900}) as context:
        opened = context.new_page()
        opened.set_default_timeout(20_000)
        opened.on("pageerror", lambda fault: faults.append(str(fault)))
        opened.on("console", lambda said: faults.append(said.text) if "Content Security Policy" in said.text else None)
        opened.on("dialog", lambda dialog: faults.append(f"dialog: {dialog.message}"))
        yield opened
    assert faults == []
