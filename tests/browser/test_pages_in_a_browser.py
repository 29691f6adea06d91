"""Pages in a real browser, with a real worker behind them."""

import re
from html import unescape
from importlib.resources import files
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Locator, Page, Route, expect

from tests.eventually import eventually
from tests.fleet_parts import Fleet, Server

_COUNTS = """import time
for number in range(300):
    print("line", number, flush=True)
    time.sleep(0.1)
"""
_HOSTILE = r"""import sys, time
print("<script>alert(1)</script><img src=x onerror=alert(1)>", flush=True)
print("\x1b[2J\x1b[31mred\x1b[0m\x1b]0;owned\x07 \u202eevil", flush=True)
time.sleep(1)
sys.stdout.write("x" * 10_000_000 + "\nEND OF IT\n")
sys.stdout.flush()
time.sleep(2)
"""
# A worker tells of a run no more often than it renews its lease, each 5 s at first.
_AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text()
expect.set_options(timeout=30_000)
_ACTING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]")


def submit(page: Page, source: str, name: str = "", kind: str = "python") -> None:
    page.goto("/submit")
    page.get_by_label("Python source" if kind == "python" else "Shell command").check()
    page.get_by_label("What to run").fill(source)
    page.get_by_label("Name").fill(name)
    page.get_by_role("button", name="Submit").click()
    page.wait_for_url("**/runs/*")


def change(page: Page, button: Locator) -> None:
    """Press a button that sends a form, and wait for the page that answers it.

    What is asked of the page sooner, a reload above all, may meet the page that is on its way out or keep the
    form from being sent.
    """
    with page.expect_navigation():
        button.press("Enter")


def ended(page: Page, outcome: str) -> None:
    expect(page.locator("h1 .badge")).to_have_text(outcome)


def test_a_job_is_submitted_its_output_arrives_its_curve_moves_and_it_is_cancelled(page: Page) -> None:
    submit(page, _COUNTS, "counts.py")

    expect(page.get_by_role("heading", level=1)).to_contain_text("counts.py")
    output, curve = page.locator("#output"), page.locator("[data-curve]")
    expect(output).to_contain_text("line 3\n")
    expect(output).to_contain_text("line 20\n")
    expect(curve).to_have_attribute("data-points", re.compile(r"\d+"))
    first = curve.get_attribute("data-points")
    expect(curve).not_to_have_attribute("data-points", first or "")
    assert curve.locator("canvas").count() >= 2
    expect(page.get_by_role("region", name="Processes")).to_contain_text("inline.py")
    page.get_by_role("button", name="Pause").click()
    expect(page.locator("#live-state")).to_contain_text("more has come")
    page.get_by_role("button", name="Go on").click()

    page.get_by_role("button", name="Cancel").click()

    ended(page, "cancelled")
    expect(page.get_by_role("button", name="Cancel")).to_have_count(0)
    change(page, page.get_by_role("button", name="Run again"))
    page.wait_for_url("**/runs/*")
    page.get_by_role("button", name="Cancel").click()
    ended(page, "cancelled")


def test_hostile_output_is_shown_harmless_and_ten_megabytes_do_not_freeze_the_page(page: Page) -> None:
    submit(page, _HOSTILE, "<script>alert(2)</script>")

    output = page.locator("#output")
    expect(output).to_contain_text("<script>alert(1)</script><img src=x onerror=alert(1)>")
    expect(output).to_contain_text("red evil")
    expect(page.locator("body[data-ended]")).to_be_attached()
    ended(page, "succeeded")
    expect(output).to_contain_text("END OF IT")
    shown = output.inner_text()
    assert len(shown) < 300_000
    assert not _ACTING.search(shown)
    assert page.locator("main script, main img").count() == 0
    page.reload()
    expect(page.locator("pre").first).to_contain_text("END OF IT")
    expect(page.get_by_role("heading", level=1)).to_contain_text("<script>alert(2)</script>")


def test_a_line_that_was_cut_and_then_refused_is_opened_anew_and_nothing_is_shown_twice(page: Page) -> None:
    refused: list[str] = []

    def refuse_twice(route: Route) -> None:
        # As a proxy does while the service behind it starts anew.
        if len(refused) < 2:
            refused.append(route.request.url)
            route.fulfill(status=502)
        else:
            route.continue_()

    page.route("**/runs/*/events", refuse_twice)
    submit(page, _COUNTS, "refused.py")

    output = page.locator("#output")
    expect(output).to_contain_text("line 9\n")
    assert output.inner_text().count("line 0\n") == 1
    page.get_by_role("button", name="Cancel").click()
    ended(page, "cancelled")


def test_two_runs_are_compared_with_what_differs_most_first(page: Page) -> None:
    for size in (1, 40):
        code = f"import time\nkept = bytearray({size}_000_000)\nfor _ in range(4): time.sleep(0.1)\n"
        submit(page, code, "grows.py")
        ended(page, "succeeded")

    page.reload()
    page.get_by_role("link", name="Compare with the run before").click()

    expect(page.get_by_role("heading", level=1)).to_have_text("Compare two runs")
    table = page.get_by_role("region", name=re.compile("Measures that differ"))
    expect(table).to_contain_text("memory_max_mb")
    changes = [abs(float(text.split()[0])) for text in table.locator(".change").all_inner_texts()]
    assert changes == sorted(changes, reverse=True)
    expect(page.get_by_role("region", name="What was asked for otherwise")).to_contain_text("source.sha256")
    expect(page.locator("[data-curve] canvas").nth(1)).to_be_visible()
    page.goto("/script?name=grows.py")
    trend = page.locator("[data-trend]")
    expect(trend.locator("canvas")).to_have_count(1)
    trend.locator(".u-over").hover()
    # As on all pages, not as the browser's country writes it.
    expect(trend).to_contain_text(re.compile(r"From \(UTC\)\s*20\d\d-\d\d-\d\d \d\d:\d\d:\d\d"))
    assert page.locator(".strip a").count() == 2


def test_the_overview_moves_by_itself(page: Page, service: tuple[Fleet, Server]) -> None:
    page.goto("/")
    expect(page.get_by_role("heading", level=1)).to_have_text("Overview")

    service[0].client().submit_shell("sleep 2; exit 3", name="seen.sh")

    expect(page.get_by_role("region", name="Running now")).to_contain_text("seen.sh")
    expect(page.get_by_role("region", name="Failed lately")).to_contain_text("seen.sh")
    page.goto("/dead")
    page.get_by_role("button", name="Remove seen.sh").click()
    expect(page.get_by_text("No job is dead.")).to_be_visible()


def test_a_queue_is_paused_and_resumed_and_a_worker_cordoned_by_keyboard_and_the_page_shows_it_by_itself(
    page: Page, service: tuple[Fleet, Server]
) -> None:
    page.goto("/fleet")
    change(page, page.get_by_role("button", name="Pause queue default"))
    change(page, page.get_by_role("button", name="Resume queue default"))
    expect(page.get_by_role("button", name="Pause queue default")).to_be_visible()
    change(page, page.get_by_role("button", name=re.compile("^Cordon")))
    expect(page.get_by_role("button", name=re.compile("^Uncordon"))).to_be_visible()
    expect(page.locator("[data-live-state]")).to_have_text("live")
    page.get_by_role("button", name="Pause queue default").focus()
    job = service[0].client().submit_shell("true", name="waits.sh")
    waiting = page.get_by_role("region", name="Queues").get_by_role("cell").nth(1)
    expect(waiting).to_have_text("1")
    expect(page.get_by_role("button", name="Pause queue default")).to_be_focused()
    change(page, page.get_by_role("button", name=re.compile("^Uncordon")))
    expect(page.get_by_role("button", name=re.compile("^Cordon"))).to_be_visible()
    expect(waiting).to_have_text("0")
    job.result(30)


@pytest.fixture(scope="module")
def addresses(service: tuple[Fleet, Server]) -> list[str]:
    """Where all pages are, one of each kind, with something on them."""
    fleet, server = service
    day, size = {"type": "choice", "choices": ["monday", "friday"]}, {"type": "integer", "least": 1, "required": True}
    command = "echo ${params.day} ${params.size}"
    body = {"job": {"command": command}, "parameters": {"day": {**day, "default": "friday"}, "size": size}}
    httpx.put(f"{server.url}/api/v1/definitions/shown", json=body).raise_for_status()
    run_id = fleet.client().submit_shell("echo shown", name="shown.sh").result(60).run_id
    eventually(lambda: httpx.get(f"{server.url}/api/v1/runs/{run_id}").is_success, within=60)
    job_id = fleet.client().submit_code("print(1)  # " + "long " * 100).id
    eventually(lambda: "Source" in httpx.get(f"{server.url}/jobs/{job_id}").text, within=60)
    plain = ["/", "/runs", "/fleet", "/schedules", "/dead", "/submit", "/definitions", "/account", "/compare"]
    admins = ["/tokens", "/audit", "/audit?actor=local&since=x"]
    asked = ["/runs?search=shown&sort=wall&label=team%3Dops", "/runs?label=ops", "/script?name=shown.sh", "/nowhere"]
    return [
        *plain,
        *admins,
        *asked,
        "/definitions/shown",
        f"/jobs/{job_id}",
        f"/runs/{run_id}",
        f"/compare?left={run_id}&right={run_id}",
    ]


def test_each_page_fits_a_phone_and_is_without_faults_by_axe_in_light_and_dark(
    page: Page, addresses: list[str]
) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    for address in addresses:
        page.emulate_media(color_scheme="light")
        page.goto(address)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, address
        assert faults_by_axe(page) == [], address
        # Nothing but colours is otherwise.
        page.emulate_media(color_scheme="dark")
        assert faults_by_axe(page, "color-contrast") == [], f"{address} in the dark"


def faults_by_axe(page: Page, *rules: str) -> list[str]:
    """Give what axe finds: names, roles, landmarks, contrast and more."""
    page.evaluate(_AXE)
    found = page.evaluate("(rules) => axe.run(rules.length ? { runOnly: rules } : {})", list(rules))["violations"]
    return [f"{fault['id']}: {node['html']}" for fault in found for node in fault["nodes"]]


def test_no_link_of_any_page_leads_nowhere(service: tuple[Fleet, Server], addresses: list[str]) -> None:
    with httpx.Client(base_url=service[1].url, headers={"Accept": "text/html"}, timeout=30) as client:
        pages = [found.text for address in addresses if not (found := client.get(address)).is_client_error]
        links = {unescape(link) for page in pages for link in re.findall(r'href="(/[^"#]*)', page)}

        assert len(links) > 30
        assert {link: answer.status_code for link in links if (answer := client.get(link)).is_error} == {}


def test_by_keyboard_the_first_stop_skips_to_the_content_and_each_stop_is_seen(page: Page) -> None:
    for address in ("/runs", "/submit", "/fleet"):
        page.goto(address)
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="Skip to content")).to_be_in_viewport()
        for _ in range(12):
            page.keyboard.press("Tab")
            outline = page.evaluate("getComputedStyle(document.activeElement).outline")
            assert outline.endswith("solid 3px"), page.evaluate("document.activeElement.outerHTML")


def test_without_scripts_runs_are_searched_sorted_and_filtered(
    browser: Browser, service: tuple[Fleet, Server], addresses: list[str]
) -> None:
    assert addresses
    with browser.new_context(base_url=service[1].url, java_script_enabled=False) as context:
        page = context.new_page()
        page.goto("/runs")
        page.get_by_label("Script's name has").fill("SHOWN")
        change(page, page.get_by_role("button", name="Show"))
        expect(page.get_by_role("row", name=re.compile("shown.sh"))).to_be_visible()
        page.get_by_role("link", name="Wall").click()
        expect(page.get_by_role("columnheader", name="Wall")).to_have_attribute("aria-sort", "descending")
        page.get_by_label("Outcome", exact=True).select_option("failed")
        change(page, page.get_by_role("button", name="Show"))
        expect(page.get_by_text("No run is like this.")).to_be_visible()
        page.get_by_role("link", name="Take away: Outcome: failed").click()
        expect(page.get_by_role("row", name=re.compile("shown.sh"))).to_be_visible()
        assert "sort=wall" in page.url


def test_one_logs_in_with_a_token_acts_and_logs_out(browser: Browser, redis_url: str, tmp_path: Path) -> None:
    fleet = Fleet(
        tmp_path, redis_url, "browserlogin", f"sqlite:///{tmp_path}/s.db", {"SCRIPTFLEET_API_TOKEN": "secret"}
    )
    try:
        with browser.new_context(base_url=fleet.server().url) as context:
            page = context.new_page()
            page.goto("/runs")
            page.get_by_label("Token").fill("wrong")
            page.get_by_role("button", name="Log in").click()
            expect(page.get_by_role("alert")).to_contain_text("not known")
            assert faults_by_axe(page) == []
            page.get_by_label("Token").fill("secret")
            page.get_by_role("button", name="Log in").click()
            page.wait_for_url("**/runs")
            page.goto("/submit")
            page.get_by_label("What to run").fill("true")
            page.get_by_role("button", name="Submit").click()
            page.wait_for_url("**/jobs/*")
            page.get_by_role("link", name=re.compile("Account")).click()
            change(page, page.get_by_role("button", name="Log out"))
            page.goto("/runs")
            expect(page.get_by_label("Token")).to_be_visible()
    finally:
        fleet.stop()
