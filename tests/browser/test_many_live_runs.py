"""The overview with a thousand runs under way stays small and moves on."""

import time

import sqlalchemy as sa
from playwright.sync_api import Browser, expect

from scriptfleet.domain.ids import new_job_id, new_run_id
from scriptfleet.storage.engine import Database, open_store
from scriptfleet.storage.tables import runs
from tests.results_service import running

LIVE = 1_000


def begin(database: Database, ago_seconds: float) -> None:
    began = time.time() - ago_seconds
    rows = [
        {
            "run_id": new_run_id(),
            "job_id": new_job_id(),
            "name": f"live_{number % 50}.py",
            "worker": f"w{number % 40}@host",
            "claimed_at": began + number / LIVE,
            "began_at": began + number / LIVE,
        }
        for number in range(LIVE)
    ]
    with database.writing() as connection:
        connection.execute(sa.insert(runs), rows)


def test_the_overview_of_a_thousand_live_runs_is_bounded_and_moves(
    browser: Browser, sqlite_url: str, redis_url: str
) -> None:
    database = open_store(sqlite_url)
    begin(database, 60)
    with (
        running(database, redis_url=redis_url) as service,
        browser.new_context(base_url=str(service.client.base_url)) as context,
    ):
        page = context.new_page()
        page.goto("/")
        table = page.get_by_role("region", name="Running now")
        expect(table).to_contain_text(f"the newest 15 of {LIVE}")

        begin(database, 30)

        expect(table).to_contain_text(f"the newest 15 of {2 * LIVE}")
        assert page.evaluate("document.querySelectorAll('*').length") < 1_000
        assert page.locator("tr").count() < 40
    database.close()
