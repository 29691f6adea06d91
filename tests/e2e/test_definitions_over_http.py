"""Definitions over REST and by the page's form, with a fleet of real processes."""

import html
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.eventually import eventually
from tests.fleet_parts import Fleet

SCRIPT = "import os, sys; print(sys.argv[1:], os.environ.get('REGION'))"
HOSTILE = "<script>alert(1)</script>$(id)\"'"
DEFINITION: dict[str, Any] = {
    "job": {
        "script": {"name": "report.py", "content": SCRIPT},
        "args": ["${params.day}", "${params.limit}"],
        "env": {"REGION": "${params.region}"},
    },
    "parameters": {
        "day": {"required": True, "description": HOSTILE},
        "limit": {"type": "integer", "default": 10, "least": 1, "most": 99},
        "region": {"type": "choice", "choices": ["eu", "us"], "default": "eu"},
        "dry": {"type": "boolean"},
    },
    "description": "Sales of one day",
}


@pytest.fixture(scope="module")
def web(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    home = tmp_path_factory.mktemp("definitions")
    fleet = Fleet(home, redis_url, "definitions-e2e", f"sqlite:///{home / 'store.db'}")
    try:
        server = fleet.server()
        fleet.worker(slots=2)
        with httpx.Client(base_url=server.url, timeout=90) as client:
            yield client
    finally:
        fleet.stop()


@pytest.fixture
def report(web: httpx.Client) -> str:
    answer = web.put("/api/v1/definitions/report", json=DEFINITION)
    assert answer.status_code == 200, answer.text
    return "/api/v1/definitions/report"


def form_of(page: str) -> dict[str, str]:
    found = dict(re.findall(r'<input[^>]* name="([^"]*)"[^>]* value="([^"]*)"', page))
    return found | dict.fromkeys(re.findall(r'<select[^>]* name="([^"]*)"', page), "")


def test_a_definition_is_kept_changed_and_removed_and_its_history_tells(web: httpx.Client) -> None:
    address = "/api/v1/definitions/kept"
    first = web.put(address, json=DEFINITION).json()
    same = web.put(address, json=DEFINITION).json()
    second = web.put(address, json={**DEFINITION, "description": "changed"}).json()
    removed = web.delete(address).json()

    assert (first["version"], first["changed_by"], first["spec"]["name"]) == (1, "local", "report.py")
    assert (same, second["version"]) == (first, 2)
    assert (removed["version"], removed["is_removed"]) == (3, True)
    versions = web.get(f"{address}/versions").json()["versions"]
    assert [one["changes"] for one in versions] == [["removed"], ["description"], ["made"]]
    gone = web.get(address)
    assert (gone.status_code, gone.json()["code"]) == (404, "definition_not_found")
    assert "kept" not in [one["name"] for one in web.get("/api/v1/definitions").json()["definitions"]]
    logged = [one for one in web.get("/api/v1/audit").json()["entries"] if one["target"] == "kept"]
    assert [one["action"] for one in logged] == ["definition.remove", *["definition.change"] * 3]


def test_a_job_is_submitted_with_values_and_changed_options(web: httpx.Client, report: str) -> None:
    body = {"parameters": {"day": "2026-03-01", "limit": 5}, "options": {"labels": {"why": "test"}}}
    job = web.post(f"{report}/jobs?wait=30s", json=body).json()

    assert job["result"]["stdout"] == "['2026-03-01', '5'] eu\n"
    spec = web.get(f"/api/v1/jobs/{job['job_id']}").json()["spec"]
    assert spec["labels"]["why"] == "test"
    assert spec["labels"]["definition"].startswith("report@")


def test_the_same_key_makes_one_job(web: httpx.Client, report: str) -> None:
    jobs = [
        web.post(f"{report}/jobs", json={"parameters": {"day": "1"}}, headers={"Idempotency-Key": "once"}).json()
        for _ in range(2)
    ]

    assert jobs[0]["job_id"] == jobs[1]["job_id"]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({}, "parameter day: 'nothing' is not accepted: expected a value, which is required: text"),
        ({"parameters": {"day": "1", "limit": 100}}, "parameter limit: 100 is not .* a whole number from 1 to 99"),
        ({"parameters": {"day": "1", "limit": "9"}}, "parameter limit: '9' is not accepted"),
        ({"parameters": {"day": "1", "region": "asia"}}, "parameter region: 'asia' is not .*: expected one of eu, us"),
        ({"parameters": {"dya": "1"}}, "parameter: 'dya' is not accepted"),
        ({"parameters": {"day": {"a": 1}}}, "day"),
        ({"parameters": {"day": "a\0b"}}, "NUL"),
    ],
)
def test_values_that_are_not_allowed_are_refused_by_name(web: httpx.Client, report: str, body: Any, told: str) -> None:
    answer = web.post(f"{report}/jobs", json=body)

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_value")
    assert re.search(told, answer.json()["detail"]), answer.json()


def test_the_form_is_made_from_the_parameters_and_lands_on_the_job(web: httpx.Client, report: str) -> None:
    page = web.get("/definitions/report").text

    assert '<a href="/definitions/report">report</a>' in web.get("/definitions").text
    assert "<script>" not in page
    assert 'type="number" value="10"' in page
    assert '<option value="eu" selected>' in page
    assert html.escape(SCRIPT).replace("&#x27;", "&#39;").replace("&quot;", "&#34;") in page
    assert "REGION=${params.region}" in page
    form = form_of(page) | {"p.day": HOSTILE, "p.region": "us", "timeout": "77", "memory_mb": "300"}
    landed = web.post("/definitions/report/jobs", data=form)
    assert landed.status_code == 303
    address = landed.headers["location"]
    # Before its run begins, the page says so; then it leads there.
    assert web.get(address, follow_redirects=True).status_code == 200

    def output() -> str:
        runs = web.get(f"/api/v1{address}/runs").json().get("runs")
        return web.get(f"/api/v1/runs/{runs[0]['run_id']}/output").text if runs and runs[0]["outcome"] else ""

    assert eventually(output, within=60) == f"{[HOSTILE, '10']!r} us\n"
    spec = web.get(f"/api/v1{address.partition('?')[0]}").json()["spec"]
    assert (spec["timeout_seconds"], spec["limits"]["memory_mb"], spec.get("queue")) == (77, 300, None)


def test_a_form_that_is_sent_twice_makes_one_job_and_another_filling_another(web: httpx.Client, report: str) -> None:
    form = form_of(web.get("/definitions/report").text)

    sent = [web.post("/definitions/report/jobs", data=form | {"p.day": day}).headers["location"] for day in "112"]

    assert sent[0] == sent[1] != sent[2]


def test_a_form_that_does_not_fit_comes_back_with_what_was_said(web: httpx.Client, report: str) -> None:
    form = form_of(web.get("/definitions/report").text) | {"p.day": HOSTILE, "p.limit": "1000", "queue": "aside"}

    answer = web.post("/definitions/report/jobs", data=form)

    assert answer.status_code == 422
    assert 'role="alert">parameter limit: 1000 is not accepted' in answer.text
    assert 'value="1000"' in answer.text
    assert 'name="queue" value="aside"' in answer.text
    assert "<script>" not in answer.text
    assert "&lt;script&gt;" in answer.text


def test_a_form_of_another_site_or_without_its_mark_submits_nothing(web: httpx.Client, report: str) -> None:
    form = form_of(web.get("/definitions/report").text) | {"p.day": "1"}

    foreign = web.post("/definitions/report/jobs", data=form, headers={"Origin": "https://evil.example"})
    unmarked = web.post("/definitions/report/jobs", data=form | {"nonce": ""})

    assert foreign.status_code == 403
    assert unmarked.status_code == 422
