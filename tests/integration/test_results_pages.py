"""The pages over real HTTP: readable, safe against what scripts print, usable without a mouse."""

import json
import re
import time
from datetime import UTC, datetime
from html.parser import HTMLParser
from urllib.parse import quote

import pytest

from scriptfleet.domain.ids import new_job_id, new_run_id
from scriptfleet.domain.process_tree import ProcessSeen, ProcessTree
from scriptfleet.domain.run import Artifact, OutputTail
from scriptfleet.domain.sample import Sample
from scriptfleet.domain.state import State
from tests import event_factory as make
from tests.results_service import Service

TYPES = {"text/css", "text/javascript", "image/svg+xml"}
JOB, RUN = "0a6e9f0e-5d83-4d0b-8f3c-0c2b9e2a7f10", "a" * 32
HOSTILE = "</pre><script>alert(1)</script><img src=x onerror=alert(1)>\"'&\x1b[2J\x1b]0;owned\x07\u202eevil\x00"


class Page(HTMLParser):
    """What is on a page: its tags, its attributes, its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        #: Tag and address of what is loaded.
        self.sources: list[tuple[str, str]] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.sources += [(tag, value or "") for name, value in attrs if name == "src"]
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data


def addresses(found: Page, tag: str) -> list[str]:
    return [address for of, address in found.sources if of == tag]


def page(service: Service, path: str) -> Page:
    answer = service.client.get(path)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    return Page(answer.text)


def store_one(service: Service, outcome: State = State.SUCCEEDED) -> None:
    service.store.apply([make.submitted(JOB), make.claimed(JOB, RUN), make.finished(make.record(JOB, RUN, outcome))])


def test_the_list_shows_what_each_run_cost(service: Service) -> None:
    store_one(service)

    found = page(service, "/runs")

    for text in ("hello.sh", "succeeded", "1.50 s", "1.25 s", "48.5 MiB", "worker-1@host-1", JOB[:8], "14:13:21"):
        assert text in found.text
    assert ("href", f"/runs/{RUN}") in found.attributes
    assert ("href", f"/jobs/{JOB}") in found.attributes


def test_an_empty_list_says_what_to_do(service: Service) -> None:
    assert "No runs yet: submit one with scriptfleet submit" in page(service, "/runs").text


def test_a_run_shows_what_it_kept(service: Service) -> None:
    made = make.record(JOB, RUN, artifacts=[Artifact("plot.png", 6000, "c" * 64), Artifact(HOSTILE, 1, "d" * 64)])
    service.store.apply([make.submitted(JOB), make.finished(made)])

    found = page(service, f"/runs/{RUN}")

    for text in ("Artifacts", "plot.png", "6,000", "c" * 64, "<U+202E>evil"):
        assert text in found.text
    assert ("href", f"/api/v1/runs/{RUN}/artifacts/plot.png") in found.attributes
    assert found.tags.count("script") == len(addresses(found, "script"))
    assert "img" not in found.tags


def test_a_run_shows_every_measure_its_output_and_the_other_attempts(service: Service) -> None:
    store_one(service, State.FAILED)
    service.store.apply([make.claimed(JOB, "b" * 32, 4, attempt=2), make.output(JOB, RUN, b"line one\nline two\n")])

    found = page(service, f"/runs/{RUN}")

    for text in ("line one", "user_time_seconds", "rusage", "memory_charged_max_mb", "custom.rows", "Attempts of this"):
        assert text in found.text
    assert ("href", f"/runs/{'b' * 32}") in found.attributes
    assert ("href", f"/api/v1/runs/{RUN}/output?stream=stdout") in found.attributes


def test_a_run_shows_what_its_function_returned_as_text(service: Service) -> None:
    made = make.record(JOB, RUN, output_data={"rows": 3, "note": HOSTILE})
    service.store.apply([make.submitted(JOB), make.finished(made)])

    found = page(service, f"/runs/{RUN}")

    assert '"rows": 3' in found.text
    assert "<U+202E>evil" in found.text
    assert "img" not in found.tags


def test_a_run_that_took_longer_than_is_usual_says_where(service: Service) -> None:
    for at in range(4):
        service.store.apply(make.whole_job(at_ms=make.START_MS + at * 60_000, io_stalled_seconds=0.1))
    slow = make.usage(start_time="2026-09-21T17:00:00+00:00", execution_time_seconds=9.0, io_stalled_seconds=8.0)
    curve = [Sample(float(at), 1.0, 5.0, 1, at * 1024, 0) for at in [0, 1, 2, 3, 9, 10, 11]]
    tree = ProcessTree(3.0, 2, (ProcessSeen(7, 1, "sh -c x", 0.1, 2.0, 3.0), ProcessSeen(8, 7, HOSTILE, 0.1, 2.0, 3.0)))
    made = make.record(JOB, RUN, usage=slow, curve=curve, process_tree=tree)
    service.store.apply([make.submitted(JOB), make.finished(made)])

    found = page(service, f"/runs/{RUN}")

    for text in (
        "Why it was slow",
        "6.0 times",
        "Waited for storage",
        "+7.90 s",
        "5 samples missed",
        "2 processes after",
    ):
        assert text in found.text
    assert ("class", "process depth-1") in found.attributes
    assert "<U+202E>evil" in found.text


def test_a_job_shows_what_was_submitted_and_its_runs(service: Service) -> None:
    store_one(service)

    found = page(service, f"/jobs/{JOB}")

    for text in ("hello.sh", "succeeded", "default", "Runs of this job", JOB):
        assert text in found.text


def test_a_long_output_shows_its_end_and_leads_to_the_rest(service: Service) -> None:
    store_one(service)
    service.store.apply([make.output(JOB, RUN, b"START" + b"x" * 100_000 + b"END")])

    found = page(service, f"/runs/{RUN}")

    assert "The end of it:" in found.text
    assert "xEND" in found.text
    assert "START" not in found.text


def test_nothing_that_a_script_prints_or_is_called_can_act_on_a_page(service: Service) -> None:
    named = HOSTILE.replace("\x00", "")
    spec = make.shell_spec(named, labels={named[:60]: named}, group=named, submitted_by=named)
    usage = make.usage(error_message=HOSTILE, platform=HOSTILE, custom={HOSTILE: 1.0})
    made = make.record(JOB, RUN, State.FAILED, usage=usage, worker=HOSTILE, host=HOSTILE, stderr=OutputTail(HOSTILE))
    hostile_output = make.output(JOB, RUN, HOSTILE.encode() + b"\xff")
    service.store.apply([make.submitted(JOB, spec), make.claimed(JOB, RUN), hostile_output, make.finished(made)])

    for path in ("/runs", f"/runs/{RUN}", f"/jobs/{JOB}", "/runs?name=" + "%3Cscript%3E%1b%22"):
        html = service.client.get(path).text
        found = Page(html)
        assert all(address.startswith("/static/") for address in addresses(found, "script"))
        assert len(addresses(found, "script")) == found.tags.count("script")
        assert "img" not in found.tags
        assert not [name for name, _ in found.attributes if name.startswith("on") or name == "style"]
        assert re.findall("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", html) == []
        assert re.findall("&#(x0*1b|0*27);", html, re.IGNORECASE) == []


def test_every_answer_forbids_frames_scripts_and_keeping(service: Service) -> None:
    store_one(service)
    for path in ("/runs", f"/runs/{RUN}", f"/jobs/{JOB}", "/nowhere", "/api/v1/jobs", f"/api/v1/runs/{RUN}/output"):
        headers = service.client.get(path).headers
        assert headers["content-security-policy"].startswith(
            "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self';"
        )
        assert headers["x-frame-options"] == "DENY"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"
        assert headers["cache-control"] == "no-store"
        assert "server" not in headers


def test_pages_load_nothing_but_files_of_the_service_itself(service: Service) -> None:
    store_one(service)
    for path in ("/runs", f"/runs/{RUN}"):
        html = service.client.get(path).text
        loaded = re.findall(r'<(?:link|script)[^>]*(?:href|src)="([^"]*)"', html)
        assert "//" not in html
        assert loaded
        for address in loaded:
            assert service.client.get(address).headers["content-type"].split(";")[0] in TYPES
    style = service.client.get("/style.css")
    assert style.headers["content-type"] == "text/css; charset=utf-8"
    assert "prefers-color-scheme: dark" in style.text
    assert "url(" not in style.text


def test_what_pages_load_is_asked_for_once_and_anew_when_it_is_another(service: Service) -> None:
    store_one(service)
    loaded = set(re.findall(r'<(?:link|script)[^>]*(?:href|src)="([^"]*)"', service.client.get(f"/runs/{RUN}").text))

    assert len(loaded) > 2
    for address in loaded:
        path, version = address.split("?v=")
        kept = service.client.get(address)
        assert kept.headers["cache-control"] == "public, max-age=31536000, immutable"
        for other in (path, f"{path}?v=older"):
            assert service.client.get(other).headers["cache-control"] == "no-cache"
            assert service.client.get(other).content == kept.content
        known = service.client.get(path, headers={"If-None-Match": f'W/"{version}"'})
        assert (known.status_code, known.content, known.headers["etag"]) == (304, b"", f'"{version}"')


def test_tables_have_captions_and_headings_and_fields_have_labels(service: Service) -> None:
    store_one(service)
    for path in ("/runs", f"/runs/{RUN}", f"/jobs/{JOB}"):
        found = page(service, path)
        assert found.tags.count("caption") == found.tags.count("table") > 0
        assert found.tags.count("h1") == 1
        assert "main" in found.tags
        assert ("lang", "en") in found.attributes
        assert ("name", "viewport") in found.attributes
    list_page = page(service, "/runs")
    fields = [value for name, value in list_page.attributes if name == "for"]
    assert {"search", "label", "until"} <= set(fields)
    assert all(("id", field) in list_page.attributes for field in fields)


def test_a_run_that_goes_on_is_followed_and_one_that_ended_is_not(service: Service) -> None:
    service.store.apply([make.submitted(JOB), make.claimed(JOB, RUN)])
    assert ("data-events", f"/runs/{RUN}/events") in page(service, f"/runs/{RUN}").attributes

    store_one(service)

    assert "data-events" not in dict(page(service, f"/runs/{RUN}").attributes)


def test_outcomes_and_names_narrow_the_list_and_older_runs_are_a_page_away(service: Service) -> None:
    for at in range(60):
        spec = make.shell_spec("a&b.sh" if at % 2 else "other.sh")
        service.store.apply(make.whole_job(spec, at_ms=make.START_MS + at * 1000))

    first = page(service, "/runs")
    older = next(value for name, value in first.attributes if name == "href" and value and "cursor=" in value)

    assert page(service, older).text.count("other.sh") == 5
    assert page(service, "/runs?name=a%26b.sh").text.count("other.sh") == 0
    assert "No run is like this. Take a filter away above" in page(service, "/runs?outcome=failed&queue=").text
    assert "60" in page(service, "/runs?outcome=&search=").text
    odd = service.client.get("/runs?outcome=odd", headers={"Accept": "text/html"})
    assert "outcome: &#39;odd&#39; is not accepted" in odd.text


def test_the_list_is_sorted_and_each_of_its_links_keeps_what_was_asked_for(service: Service) -> None:
    for at in range(60):
        spec = make.shell_spec(f"Nightly-{at % 3}.sh", queue="default", group="g&h", labels={"team": "ops"})
        began = make.START_MS + at * 1000
        service.store.apply(make.whole_job(spec, at_ms=began, execution_time_seconds=float(at)))
    asked = "search=nightly&group=g%26h&label=team%3Dops&queue=default&since=2020-01-01T00%3A00&sort=wall"

    first = page(service, f"/runs?{asked}")

    links = [value for name, value in first.attributes if name == "href" and value and value.startswith("/runs?")]
    following = next(one for one in links if "cursor=" in one)
    assert all(part in following for part in asked.split("&"))
    assert first.text.index("59.00 s") < first.text.index("58.00 s")
    assert [wall in page(service, following).text for wall in ("10.00 s", "9.00 s")] == [False, True]
    assert ("aria-sort", "descending") in first.attributes
    turned = next(one for one in links if "order=asc" in one)
    assert page(service, turned).text.index("1.00 s") < page(service, turned).text.index("2.00 s")
    without = next(one for one in links if "search" not in one and "label" in one)
    assert all(part in without for part in asked.split("&")[1:])
    assert ("value", "2020-01-01T00:00:00") in first.attributes


@pytest.mark.parametrize("offset", ["-05:00", "-0500", "+01:00", "Z", ""])
def test_a_moment_is_in_utc_unless_it_says_its_offset(service: Service, offset: str) -> None:
    said = quote(f"2026-03-01T10:00:00{offset}")

    found = page(service, f"/runs?since={said}")

    hour = {"-": 15, "+": 9}.get(offset[:1], 10)
    assert ("value", f"2026-03-01T{hour:02}:00:00") in found.attributes


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ("search=zebra", "No script has \u201czebra\u201d in its name"),
        ("label=ops", "label"),
        ("since=yesterday", "since"),
        ("cursor=AAAA", "cursor"),
        ("worker=" + "w" * 256, "worker"),
    ],
)
def test_what_finds_nothing_or_cannot_be_read_is_told_beside_the_form(service: Service, asked: str, told: str) -> None:
    store_one(service)

    answer = service.client.get(f"/runs?{asked}&queue=kept", headers={"Accept": "text/html"})

    assert answer.status_code == (200 if "zebra" in asked else 422)
    found = Page(answer.text)
    assert told in found.text
    assert ("value", "kept") in found.attributes


def test_what_is_not_there_is_told_on_a_page_to_browsers(service: Service) -> None:
    answer = service.client.get("/runs/%3Cscript%3E", headers={"Accept": "text/html,*/*"})

    assert answer.status_code == 404
    assert "run not found: &lt;script&gt;" in answer.text


def test_the_page_of_a_script_tells_its_history_in_a_range_and_since_when_it_is_slower(service: Service) -> None:
    hour_ms, now_ms = 3_600_000, round(time.time() * 1000)
    for hour in range(24):
        wall = 2.0 if hour < 12 else 6.0
        store_timed(service, now_ms - (24 - hour) * hour_ms + 60_000, wall)

    day = page(service, "/script?name=hello.sh&days=1")
    everything = page(service, "/script?name=hello.sh&days=all")

    for found in (day, everything):
        assert "Slower since" in found.text
        assert "median 2.00 s before, 6.00 s after (+200 %)" in found.text
        assert "100.0 %" in found.text
    chart = json.loads(dict(day.attributes)["data-curve"] or "")
    assert len(chart) == 3
    assert sorted(chart[0]) == chart[0]
    assert len(chart[0]) <= 100
    assert [tag for tag in day.tags if tag == "td"].count("td") >= 7 * 24
    assert ("href", "/script?name=hello.sh&days=30") in day.attributes
    assert "No run of a script of this name" in page(service, "/script?name=none.sh").text


@pytest.mark.parametrize("query", ["name=", "days=30", "name=a&days=2", "name=a&days=-1", "name=a&other=1"])
def test_a_range_that_there_is_not_is_refused(service: Service, query: str) -> None:
    assert service.client.get(f"/script?{query}").status_code == 422


def test_a_script_that_has_not_run_lately_still_shows_how_it_went(service: Service) -> None:
    store_timed(service, round((time.time() - 300 * 86_400) * 1000), 1.0)

    found = page(service, "/script?name=hello.sh")

    assert "A trend needs runs that have ended" in found.text
    assert found.tags.count("ol") == 1
    assert "1.00 s" in page(service, "/script?name=hello.sh&days=365").text


def store_timed(service: Service, at_ms: int, wall: float) -> None:
    job, run = new_job_id(), new_run_id()
    start = datetime.fromtimestamp(at_ms / 1000, UTC).isoformat()
    usage = make.usage(execution_time_seconds=wall, start_time=start)
    ended = make.finished(make.record(job, run, usage=usage), at_ms=at_ms + round(wall * 1000))
    service.store.apply([make.submitted(job, at_ms=at_ms), make.claimed(job, run, at_ms=at_ms), ended])
