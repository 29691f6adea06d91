"""REST against a fleet of real processes: submit, wait, follow, cancel, execute, orders."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.eventually import eventually
from tests.fleet_parts import Fleet
from tests.sse import Event, followed, text_of

#: Writes a line, and another whenever it finds one more file beside the first.
TALKS = """
import pathlib, sys, time
folder = pathlib.Path({folder!r})
for number in range({lines}):
    while not (folder / str(number)).exists():
        time.sleep(0.02)
    print(f"line {{number}} é", flush=True)
    print(f"warning {{number}}", file=sys.stderr, flush=True)
"""
FLAT = {
    *("success", "output", "error", "exit_code", "container_id", "container_name", "execution_time", "cpu_user_time"),
    *("cpu_system_time", "cpu_percent", "memory_usage", "memory_peak", "memory_limit", "memory_percent"),
    *("block_io_read", "block_io_write", "network_io_rx", "network_io_tx", "pids_count"),
}


@pytest.fixture(scope="module")
def api(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    home = tmp_path_factory.mktemp("rest")
    fleet = Fleet(home, redis_url, "rest-e2e", f"sqlite:///{home / 'store.db'}")
    try:
        server = fleet.server()
        fleet.worker(slots=3)
        with httpx.Client(base_url=f"{server.url}/api/v1", timeout=90) as client:
            yield client
    finally:
        fleet.stop()


def submit(api: httpx.Client, wait: str | None = None, headers: dict[str, str] | None = None, **job: Any) -> Any:
    answer = api.post("/jobs", json=job, params={"wait": wait} if wait else {}, headers=headers)
    assert answer.status_code in {200, 202}, answer.text
    return answer.json()


def running(api: httpx.Client, job_id: str) -> str:
    """Wait until it runs, and give its run."""
    return str(
        eventually(lambda: (found := api.get(f"/jobs/{job_id}").json())["state"] == "running" and found)["last_run_id"]
    )


def test_a_submit_that_waits_answers_with_the_end_and_what_it_cost(api: httpx.Client) -> None:
    answer = api.post("/jobs?wait=30s", json={"code": "print('hi'); raise SystemExit(3)", "labels": {"team": "ops"}})

    job = answer.json()
    assert (answer.status_code, answer.headers["location"]) == (200, f"/api/v1/jobs/{job['job_id']}")
    assert (job["state"], job["is_final"], job["result"]["exit_code"], job["result"]["stdout"]) == (
        *("failed", True, 3),
        "hi\n",
    )
    assert job["result"]["usage"]["user_time_seconds"] > 0
    found = api.get(f"/jobs/{job['job_id']}").json()
    assert (found["state"], found["submitted_by"], found["labels"]) == ("failed", "local", {"team": "ops"})


def test_a_job_that_has_not_ended_when_the_wait_is_over_is_answered_with_202(api: httpx.Client) -> None:
    answer = api.post("/jobs?wait=200ms", json={"command": "exec sleep 60"})
    job_id = answer.json()["job_id"]

    assert (answer.status_code, answer.json()["is_final"]) == (202, False)
    assert api.get(f"/jobs/{job_id}?wait=100ms").status_code == 202
    assert api.get(f"/jobs/{job_id}").status_code == 200
    running(api, job_id)
    ended = api.post(f"/jobs/{job_id}/cancel?wait=30s")
    assert (ended.status_code, ended.json()["state"]) == (200, "cancelled")


def test_a_key_makes_one_job_and_is_refused_for_another(api: httpx.Client) -> None:
    key = {"Idempotency-Key": "once"}
    first = submit(api, command="echo one", headers=key)
    again = submit(api, command="echo one", headers=key)
    other = api.post("/jobs", json={"command": "echo two"}, headers=key)

    assert first["job_id"] == again["job_id"]
    assert (other.status_code, other.json()["code"], other.json()["job_id"]) == (
        *(409, "idempotency_conflict"),
        first["job_id"],
    )
    batch = {"jobs": [{"command": "echo 1"}, {"command": "echo 2"}]}
    made = [api.post("/jobs/batch", json=batch, headers={"Idempotency-Key": "many"}).json() for _ in range(2)]
    assert made[0] == made[1]
    assert len(set(made[0]["job_ids"])) == 2


def test_output_is_followed_over_a_cut_line_and_the_end_of_the_run_without_gap_or_repeat(
    api: httpx.Client, tmp_path: Path
) -> None:
    job = submit(api, code=TALKS.format(folder=str(tmp_path), lines=6))
    run_id = running(api, job["job_id"])
    url = f"{api.base_url}runs/{run_id}/output/follow"
    seen: list[Event] = []

    for number in range(4):
        (tmp_path / str(number)).touch()
        # The line is cut in mid-run, again and again; each time another one goes on where it was cut.
        with followed(url, seen[-1].id if seen else None) as events:
            while f"line {number}" not in text_of(seen) or f"warning {number}" not in text_of(seen, "stderr"):
                seen.append(next(events))
    (tmp_path / "4").touch()
    with followed(url, seen[-1].id) as events:
        (tmp_path / "5").touch()
        seen += list(events)

    assert text_of(seen) == "".join(f"line {number} é\n" for number in range(6))
    assert text_of(seen, "stderr") == "".join(f"warning {number}\n" for number in range(6))
    assert [one.name for one in seen if one.name != "output"] == ["end"]
    assert (seen[-1].data["outcome"], seen[-1].data["job_id"]) == ("succeeded", job["job_id"])
    assert httpx.get(url, headers={"Last-Event-ID": seen[-1].id or ""}, timeout=60).status_code == 204
    with followed(url, seen[1].id) as events:
        assert text_of(seen[:2]) + text_of(list(events)) == text_of(seen)


def test_output_of_a_run_that_was_never_live_is_followed_from_the_store(api: httpx.Client) -> None:
    job = submit(api, command="printf 'a\\377b'; echo done >&2", wait="30s")

    with followed(f"{api.base_url}runs/{job['run_id']}/output/follow") as events:
        seen = list(events)

    assert (text_of(seen), text_of(seen, "stderr"), seen[-1].name) == ("a\ufffdb", "done\n", "end")


def test_ranges_of_output_are_given(api: httpx.Client) -> None:
    job = submit(api, code="print(''.join(f'{n:09d}\\n' for n in range(60_000)), end='')", wait="60s")
    path = f"/runs/{job['run_id']}/output"
    whole = eventually(lambda: len((found := api.get(path)).content) == 600_000 and found)

    for said, wanted in {"0-9": slice(0, 10), "399990-400019": slice(399_990, 400_020), "-7": slice(-7, None)}.items():
        part = api.get(path, headers={"Range": f"bytes={said}"})
        assert (part.status_code, part.content) == (206, whole.content[wanted])
    assert part.headers["content-range"] == "bytes 599993-599999/600000"
    over = api.get(path, headers={"Range": "bytes=600000-"})
    assert (over.status_code, over.json()["code"]) == (416, "range_not_satisfiable")
    assert over.headers["content-range"] == "bytes */600000"
    assert api.get(path, headers={"Range": "lines=1-2"}).status_code == 200


def test_execute_answers_flat_with_the_names_and_units_of_the_specification(api: httpx.Client) -> None:
    code = "import sys; kept = bytearray(64 << 20); print(len(kept)); print('oops', file=sys.stderr); sys.exit(4)"
    answer = api.post("/execute", json={"code": code, "memory_mb": 512})

    found = answer.json()
    assert (answer.status_code, set(found)) == (200, FLAT)
    assert (found["success"], found["output"], found["error"], found["exit_code"]) == (
        *(False, "67108864\n", "oops\n"),
        4,
    )
    assert 64 << 20 < found["memory_peak"] < 128 << 20
    assert (found["memory_limit"], found["container_id"]) == (512 << 20, None)
    assert found["memory_percent"] == pytest.approx(100 * found["memory_peak"] / found["memory_limit"])
    assert 0 < found["cpu_user_time"] < found["execution_time"] * 2
    job = api.get(answer.headers["location"].removeprefix("/api/v1")).json()
    assert job["state"] == "failed"


def test_code_that_takes_too_long_is_ended_and_told(api: httpx.Client) -> None:
    found = api.post("/execute", json={"code": "import time; time.sleep(60)", "timeout": 0.5}).json()

    assert (found["success"], found["exit_code"]) == (False, 124)
    assert "timed out" in found["error"].lower() or "time" in found["error"].lower()


def test_a_job_is_rerun_with_changes_and_a_dead_one_replayed_once(api: httpx.Client) -> None:
    first = submit(api, code="import sys; print(sys.argv[1]); sys.exit(1)", args=["a"], wait="30s")
    changed = api.post(f"/jobs/{first['job_id']}/rerun?wait=30s", json={"args": ["b"]}).json()
    same = api.post(f"/jobs/{first['job_id']}/retry?wait=30s").json()

    assert (changed["result"]["stdout"], changed["rerun_of"]) == ("b\n", first["job_id"])
    assert same["result"]["stdout"] == "a\n"
    assert first["job_id"] in {one["job_id"] for one in api.get("/dead").json()["jobs"]}
    replayed = api.post(f"/dead/{first['job_id']}/replay")
    assert (replayed.status_code, replayed.json()["rerun_of"]) == (202, first["job_id"])
    assert api.post(f"/dead/{first['job_id']}/replay").json()["code"] == "not_dead"
    assert api.delete(f"/dead/{same['job_id']}").json() == {"removed": 1}


def test_jobs_are_cancelled_by_group_and_queues_paused_and_purged(api: httpx.Client) -> None:
    assert api.post("/queues/aside/pause").json()["has_changed"]
    for group in ("one", "one", "two"):
        submit(api, command="true", queue="aside", group=group)

    assert api.post("/jobs/cancel", json={"group": "one"}).json() == {"found": {"queued": 2}}
    assert {one["queue"]: one for one in api.get("/queues").json()["queues"]}["aside"]["is_paused"]
    assert api.post("/queues/aside/purge").json() == {"queue": "aside", "cancelled": 1}
    assert api.post("/queues/aside/resume").json() == {"queue": "aside", "is_paused": False, "has_changed": True}


def test_workers_are_listed_and_ordered(api: httpx.Client) -> None:
    worker = api.get("/workers").json()["workers"][0]
    name = worker["name"]

    assert (worker["slots"], api.get(f"/workers/{name}").json()["host"]) == (3, worker["host"])
    assert api.post(f"/workers/{name}/cordon").status_code == 202
    eventually(lambda: api.get(f"/workers/{name}").json()["state"] == "cordoned")
    api.post(f"/workers/{name}/uncordon")
    eventually(lambda: api.get(f"/workers/{name}").json()["state"] == "ready")
    assert api.post("/workers/nobody/drain").json()["code"] == "worker_not_found"


def test_an_artifact_is_a_download_that_no_browser_shows(api: httpx.Client) -> None:
    code = """
import pathlib, scriptfleet_report
pathlib.Path("page.html").write_text("<script>alert(1)</script>")
scriptfleet_report.artifact("page.html")
"""
    job = submit(api, code=code, wait="30s")
    assert job["state"] == "succeeded", job
    path = f"/runs/{job['run_id']}/artifacts"
    kept = eventually(lambda: api.get(path).json().get("artifacts"))[0]

    for which in (kept["name"], kept["sha256"]):
        found = api.get(f"{path}/{which}")
        assert (found.status_code, found.text) == (200, "<script>alert(1)</script>")
        assert found.headers["content-type"] == "application/octet-stream"
        assert found.headers["x-content-type-options"] == "nosniff"
        assert found.headers["content-disposition"].startswith('attachment; filename="page.html"')
    assert api.get(f"{path}/../../../etc/passwd").status_code == 404
    assert api.get(f"{path}/..%2F..%2Fetc%2Fpasswd").json()["code"] == "artifact_not_found"
