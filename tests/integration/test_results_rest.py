"""REST over real HTTP, on every kind of database."""

from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from scriptfleet.domain.process_tree import ProcessTree
from scriptfleet.domain.run import Artifact, OutputTail
from scriptfleet.domain.state import State
from scriptfleet.domain.usage import MEASURES
from scriptfleet.storage.engine import Database
from tests import event_factory as make
from tests.results_service import Service, running

JOB, RUN = "0a6e9f0e-5d83-4d0b-8f3c-0c2b9e2a7f10", "a" * 32
KEPT = Artifact("plot.png", 6000, "c" * 64)


@pytest.fixture
def service(database: Database) -> Iterator[Service]:
    with running(database) as found:
        yield found


def store_one(service: Service) -> None:
    spec = make.shell_spec(labels={"team": "data"}, group="finance")
    service.store.apply(
        [
            make.submitted(JOB, spec),
            make.claimed(JOB, RUN),
            make.output(JOB, RUN, b"caf\xc3\xa9 \xff\x00\x1b[31m<script>\n"),
            make.finished(
                make.record(JOB, RUN, output_data={"rows": [1, 2]}, stderr=OutputTail("warned\n"), artifacts=[KEPT])
            ),
        ]
    )


def test_a_job_is_given_with_its_spec_and_runs(service: Service) -> None:
    store_one(service)

    job = service.client.get(f"/api/v1/jobs/{JOB}").json()

    assert (job["name"], job["state"], job["attempt"], job["last_run_id"]) == ("hello.sh", "succeeded", 1, RUN)
    assert (job["labels"], job["group"]) == ({"team": "data"}, "finance")
    assert job["submitted_at"] == "2026-09-21T14:13:20Z"
    assert job["spec"]["config"] == {"command": "echo hello"}
    assert [run["run_id"] for run in job["runs"]] == [RUN]


def test_a_run_has_every_measure_by_its_canonical_name_and_null_where_unknown(service: Service) -> None:
    store_one(service)

    run = service.client.get(f"/api/v1/runs/{RUN}").json()

    assert set(run["usage"]) == {*MEASURES, "custom.rows"}
    assert (run["usage"]["user_time_seconds"], run["usage"]["cpu_method"], run["usage"]["custom.rows"]) == (
        1.0,
        "rusage",
        12.0,
    )
    assert (run["usage"]["success"], run["usage"]["exit_code"], run["usage"]["memory_charged_max_mb"]) == (
        True,
        0,
        None,
    )
    assert (run["outcome"], run["is_stale"], run["output_data"]) == ("succeeded", False, {"rows": [1, 2]})
    assert run["curve"] == [[0.0, 50.0, 20.5, 1, 0, 4096], [1.0, 90.25, 48.5, 2, 512, 8192]]


def test_samples_come_column_by_column_with_the_bytes_read_and_written(service: Service) -> None:
    store_one(service)

    assert service.client.get(f"/api/v1/runs/{RUN}/samples").json() == {
        "run_id": RUN,
        "is_live": False,
        "seconds": [0.0, 1.0],
        "cpu_percent": [50.0, 90.25],
        "memory_mb": [20.5, 48.5],
        "processes": [1, 2],
        "block_io_read_bytes": [0, 512],
        "block_io_write_bytes": [4096, 8192],
    }


def test_the_processes_of_a_run_that_has_ended_are_those_that_were_kept(service: Service) -> None:
    store_one(service)

    found = service.client.get(f"/api/v1/runs/{RUN}/processes").json()

    assert {name: found[name] for name in ("run_id", "is_live", "seconds", "count", "is_cut")} == {
        "run_id": RUN, "is_live": False, "seconds": 0.5, "count": 2, "is_cut": False,
    }  # fmt: skip
    assert [(one["pid"], one["parent_pid"], one["command"]) for one in found["processes"]] == [
        (71, 70, "python hello.py"),
        (72, 71, "sleep 3"),
    ]
    assert found["processes"][0]["memory_mb"] == 20.5


def test_a_run_of_an_older_worker_has_a_curve_without_bytes_and_no_processes(service: Service) -> None:
    finished = make.finished(make.record(JOB, RUN))
    for name in ("curve_io", "process_tree"):
        del finished.data["record"][name]
    service.store.apply([make.submitted(JOB), make.claimed(JOB, RUN), finished])
    get = service.client.get

    points = get(f"/api/v1/runs/{RUN}").json()["curve"]
    assert points == [[0.0, 50.0, 20.5, 1, None, None], [1.0, 90.25, 48.5, 2, None, None]]
    assert get(f"/api/v1/runs/{RUN}/samples").json()["block_io_read_bytes"] == [None, None]
    assert get(f"/api/v1/runs/{RUN}/processes").json() == {
        "run_id": RUN, "is_live": False, "seconds": None, "count": None, "is_cut": False, "processes": [],
    }  # fmt: skip


def test_of_more_processes_than_are_named_the_number_is_told(service: Service) -> None:
    tree = ProcessTree(1.0, 70, make.TREE.processes)
    service.store.apply([make.submitted(JOB), make.finished(make.record(JOB, RUN, process_tree=tree))])

    found = service.client.get(f"/api/v1/runs/{RUN}/processes").json()

    assert (found["count"], found["is_cut"], len(found["processes"])) == (70, True, 2)


def test_what_a_run_kept_is_listed_with_the_run_and_with_its_job(service: Service) -> None:
    store_one(service)
    service.store.apply([make.claimed(JOB, "b" * 32, 4, attempt=2)])

    run = service.client.get(f"/api/v1/runs/{RUN}").json()
    job = service.client.get(f"/api/v1/jobs/{JOB}").json()

    assert run["artifacts"] == [{"name": "plot.png", "size_bytes": 6000, "sha256": "c" * 64}]
    assert {one["run_id"]: one["artifacts"] for one in job["runs"]} == {RUN: run["artifacts"], "b" * 32: None}


def test_lists_are_filtered_and_paged(service: Service) -> None:
    for at in range(5):
        outcome = State.FAILED if at == 2 else State.SUCCEEDED
        service.store.apply(make.whole_job(outcome=outcome, at_ms=make.START_MS + at * 60_000))
    get = service.client.get

    assert len(get("/api/v1/runs", params={"outcome": "failed"}).json()["runs"]) == 1
    assert len(get("/api/v1/jobs", params={"state": "succeeded", "name": "hello.sh"}).json()["jobs"]) == 4
    assert len(get("/api/v1/jobs?since=2026-09-21T16:15:20+02:00").json()["jobs"]) == 3
    first = get("/api/v1/jobs", params={"limit": 3}).json()
    second = get("/api/v1/jobs", params={"limit": 3, "cursor": first["next_cursor"]}).json()
    assert (len(first["jobs"]), len(second["jobs"]), second["next_cursor"]) == (3, 2, None)
    assert first["jobs"][0]["submitted_at"] > second["jobs"][0]["submitted_at"]


def test_the_runs_of_a_job_are_paged_too(service: Service) -> None:
    store_one(service)

    found = service.client.get(f"/api/v1/jobs/{JOB}/runs", params={"limit": 1}).json()

    assert ([run["run_id"] for run in found["runs"]], found["next_cursor"]) == ([RUN], None)


def test_output_comes_byte_for_byte_as_text_that_no_browser_reads_as_html(service: Service) -> None:
    store_one(service)

    answer = service.client.get(f"/api/v1/runs/{RUN}/output?stream=stdout")

    assert answer.content == b"caf\xc3\xa9 \xff\x00\x1b[31m<script>\n"
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert service.client.get(f"/api/v1/runs/{RUN}/output?stream=stderr").content == b"warned\n"


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/api/v1/jobs/nowhere", 404, "job_not_found"),
        ("/api/v1/jobs/nowhere/runs", 404, "job_not_found"),
        ("/api/v1/runs/nowhere", 404, "run_not_found"),
        ("/api/v1/runs/nowhere/output", 404, "run_not_found"),
        ("/api/v1/nowhere", 404, "not_found"),
        ("/api/v1/jobs/a%00b", 422, "invalid_value"),
        ("/api/v1/runs/%ff", 404, "run_not_found"),
        ("/api/v1/jobs?state=sleeping", 422, "invalid_value"),
        ("/api/v1/jobs?sate=failed", 422, "invalid_value"),
        ("/api/v1/jobs?limit=0", 422, "invalid_value"),
        ("/api/v1/jobs?limit=many", 422, "invalid_value"),
        ("/api/v1/jobs?cursor=x", 422, "invalid_value"),
        ("/api/v1/jobs?since=yesterday", 422, "invalid_value"),
        ("/api/v1/jobs?name=%00", 422, "invalid_value"),
        ("/api/v1/runs?worker=", 422, "invalid_value"),
        ("/api/v1/runs?outcome=good", 422, "invalid_value"),
        ("/api/v1/runs/x/output?stream=stdin", 422, "invalid_value"),
    ],
)
def test_a_bad_request_is_answered_with_a_problem_and_a_stable_code(
    service: Service, path: str, status: int, code: str
) -> None:
    answer = service.client.get(path)

    assert (answer.status_code, answer.json()["code"], answer.json()["status"]) == (status, code, status)
    assert answer.headers["content-type"] == "application/problem+json"
    assert "Traceback" not in answer.text


def test_a_wrong_method_is_a_problem_too(service: Service) -> None:
    answer = service.client.delete("/api/v1/jobs")

    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
    assert answer.headers["allow"] == "GET, POST"
    page = service.client.post("/", headers={"Accept": "text/html"})
    assert (page.status_code, page.headers["allow"], page.headers["content-type"][:9]) == (405, "GET", "text/html")


@pytest.mark.parametrize(("path", "accept"), [(f"/api/v1/runs/{RUN}", "*/*"), (f"/runs/{RUN}", "text/html")])
def test_a_fault_of_ours_is_answered_with_the_safe_headers_too(service: Service, path: str, accept: str) -> None:
    store_one(service)
    with service.database.writing() as connection:
        connection.execute(sa.text("UPDATE runs SET outcome = 'nonsense'"))

    answer = service.client.get(path, headers={"Accept": accept})

    assert answer.status_code == 500
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "nonsense" not in answer.text


def test_a_problem_names_the_field_and_the_value(service: Service) -> None:
    assert "limit: 'many' is not accepted" in service.client.get("/api/v1/jobs?limit=many").json()["detail"]
    assert "sate" in service.client.get("/api/v1/jobs?sate=failed").json()["detail"]
    assert service.client.get("/api/v1/jobs/nowhere").json()["detail"] == "job not found: nowhere"


def test_openapi_lists_every_route_with_its_answer(service: Service) -> None:
    described = service.client.get("/api/v1/openapi.json").json()

    assert {
        "/api/v1/audit",
        "/api/v1/load",
        "/api/v1/queues/{queue}/load",
        "/api/v1/jobs",
        "/api/v1/jobs/{job_id}",
        "/api/v1/jobs/{job_id}/runs",
        "/api/v1/runs",
        "/api/v1/runs/{run_id}",
        "/api/v1/runs/{run_id}/output",
        "/healthz",
        "/readyz",
        "/metrics",
    } <= set(described["paths"])
    assert "usage" in described["components"]["schemas"]["RunView"]["properties"]


def test_readiness_names_the_part_that_fails_and_liveness_goes_on(service: Service) -> None:
    get = service.client.get
    assert get("/readyz").json() == {
        "status": "ready",
        "parts": {"database": "ok", "broker": "ok", "ingest": "ok"},
        "events_dead": 2,
    }

    service.fleet.is_away = True
    service.ingest.runs = False
    answer = get("/readyz")

    assert answer.status_code == 503
    assert answer.json()["parts"]["broker"] == "Connection refused"
    assert answer.json()["parts"]["ingest"].startswith("the thread has ended")
    assert answer.json()["parts"]["database"] == "ok"
    assert get("/healthz").json() == {"status": "ok"}


def test_what_is_wrong_is_told_only_to_who_has_the_token(database: Database) -> None:
    with running(database, token="s3cret") as service:
        service.fleet.is_away = True
        told = service.client.get("/readyz", headers={"Authorization": "Bearer s3cret"})
        for headers in ({}, {"Authorization": "Bearer wrong"}):
            answer = service.client.get("/readyz", headers=headers)
            assert answer.status_code == 503
            assert answer.json() == {
                "status": "not ready",
                "parts": {"database": "ok", "broker": "not ok", "ingest": "ok"},
            }

    assert (told.status_code, told.json()["parts"]["broker"]) == (503, "Connection refused")
    assert told.json()["events_dead"] is None


@pytest.mark.parametrize("host", ["example.org", "localhost.example.org:80", "127.0.0.1.example.org", "[", ""])
def test_a_name_that_was_made_to_point_here_is_not_served_without_a_token(service: Service, host: str) -> None:
    answer = service.client.get("/api/v1/jobs", headers={"Host": host})

    assert answer.status_code in {400, 403}
    assert "jobs" not in answer.text


def test_a_token_may_have_any_characters(database: Database) -> None:
    with running(database, token="sésame") as service:
        assert service.client.get("/api/v1/jobs", auth=("anybody", "sésame")).status_code == 200
        sent = {"Authorization": "Bearer sésame".encode()}
        assert service.client.get("/api/v1/jobs", headers=sent).status_code == 200


def test_with_a_token_only_health_is_open(database: Database) -> None:
    with running(database, token="s3cret-é") as service:
        get = service.client.get
        for path in ("/", "/api/v1/jobs", "/metrics", "/api/v1/openapi.json", "/nowhere"):
            refused = get(path)
            assert (refused.status_code, refused.json()["code"]) == (401, "unauthorized")
            assert refused.headers["www-authenticate"].startswith("Bearer")
            assert refused.headers["x-frame-options"] == "DENY"
        assert (get("/healthz").status_code, get("/readyz").status_code) == (200, 200)


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ("Bearer s3cret", 200),
        ("bearer s3cret", 200),
        ("Basic YW55Ym9keTpzM2NyZXQ=", 200),
        ("Bearer s3cre", 401),
        ("Bearer", 401),
        ("Basic s3cret", 401),
        ("Basic " + "YW55Ym9keTp3cm9uZw==", 401),
        ("Basic \xff", 401),
        ("Basic \u00e9", 401),
        ("Digest s3cret", 401),
        ("s3cret", 401),
    ],
)
def test_the_token_is_taken_as_bearer_or_as_basic_password(database: Database, given: str, status: int) -> None:
    with running(database, token="s3cret") as service:
        answer = service.client.get(
            "/api/v1/jobs", headers={"Authorization": given.encode("latin-1"), "Host": "fleet.example.org"}
        )

    assert answer.status_code == status
