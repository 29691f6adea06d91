"""A run so short that its page was open before it ended and heard nothing of it but its end."""

import redis
from playwright.sync_api import Browser, expect

from scriptfleet.domain.ids import new_job_id, new_run_id
from scriptfleet.storage.engine import open_store
from tests import event_factory as make
from tests.results_service import running


def test_what_a_run_printed_that_was_never_followed_is_shown_at_its_end(
    browser: Browser, sqlite_url: str, redis_url: str, redis_client: redis.Redis
) -> None:
    database = open_store(sqlite_url)
    job_id, run_id = new_job_id(), new_run_id()
    with (
        running(database, redis_url=redis_url) as service,
        browser.new_context(base_url=str(service.client.base_url)) as context,
    ):
        service.store.apply([make.submitted(job_id), make.claimed(job_id, run_id)])
        page = context.new_page()
        page.goto(f"/runs/{run_id}")
        expect(page.locator("#live-state")).to_have_text("live")

        service.store.apply(
            [make.output(job_id, run_id, b"<b>all of it</b>\n"), make.finished(make.record(job_id, run_id))]
        )

        expect(page.locator("body[data-ended]")).to_be_attached()
        expect(page.locator("#output")).to_have_text("<b>all of it</b>\n")
    database.close()
