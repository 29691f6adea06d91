"""HTTP requests as runs, against a real server on this machine."""

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from scriptfleet import State
from scriptfleet.domain.run import RunRecord
from scriptfleet.execution.engine import Engine
from scriptfleet.execution.program import HostRules
from scriptfleet.queues.drafts import of_http
from tests.engine_bench import Bench


class Handler(BaseHTTPRequestHandler):
    """Echoes requests; some paths answer in a way of their own."""

    protocol_version = "HTTP/1.1"
    release = threading.Event()
    started = threading.Event()

    def answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = self.path.partition("?")[0]
        if path.startswith("/status/"):
            self.answer(int(path.rsplit("/", 1)[1]), b"as asked")
        elif path.startswith("/to/"):
            self.answer(302, b"", Location=self.path.removeprefix("/to/"))
        elif path == "/loop":
            self.answer(302, b"", Location="/loop")
        elif path == "/bytes":
            self.answer(200, bytes(range(256)) * 4096)
        elif path == "/broken":
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b"short")
            self.close_connection = True
        elif path == "/slow":
            self.started.set()
            self.release.wait(60)
            self.close_connection = True
        else:
            said = {"method": self.command, "path": self.path, "headers": dict(self.headers), "body": body.decode()}
            self.answer(200, json.dumps(said).encode())

    do_POST = do_PUT = do_DELETE = do_HEAD = do_GET

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    made = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=made.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{made.server_port}"
    Handler.release.set()
    made.shutdown()
    thread.join()
    made.server_close()


@pytest.fixture
def http(engine: Engine, tmp_path: Path) -> Bench:
    made = Bench(engine, tmp_path, secrets={"API_TOKEN": "t0ken-of-the-fleet"})
    made.rules = HostRules(http_allow="127.0.0.1,localhost")
    return made


def run(bench: Bench, url: str, method: str = "GET", **options: Any) -> RunRecord:
    return bench.run(of_http(url, method, **options).spec)


def echoed(record: RunRecord) -> dict[str, Any]:
    assert record.outcome is State.SUCCEEDED, record.stderr.text
    said: dict[str, Any] = json.loads(record.stdout.text)
    return said


def test_the_body_is_the_output_and_status_size_and_time_are_measures(http: Bench, server: str) -> None:
    record = run(http, f"{server}/hello?a=1")

    assert echoed(record)["path"] == "/hello?a=1"
    assert record.stderr.text == f"GET {server}/hello: 200 OK\n"
    custom = record.usage.custom
    assert custom["http.status"] == 200.0
    assert custom["http.response_bytes"] == len(record.stdout.text)
    assert 0 < custom["http.seconds"] < record.usage.execution_time_seconds


def test_method_headers_and_text_arrive_as_they_were_given(http: Bench, server: str) -> None:
    said = echoed(run(http, f"{server}/x", "PUT", headers={"X-Mine": "1", "user-agent": "me"}, body="grüße"))

    assert (said["method"], said["body"]) == ("PUT", "grüße")
    assert said["headers"]["X-Mine"] == "1"
    assert [value for name, value in said["headers"].items() if name.lower() == "user-agent"] == ["me"]


def test_json_data_is_sent_as_json(http: Bench, server: str) -> None:
    said = echoed(run(http, f"{server}/x", "POST", body={"a": [1, None]}))

    assert json.loads(said["body"]) == {"a": [1, None]}
    assert said["headers"]["Content-Type"] == "application/json"


def test_secrets_are_named_in_the_job_and_put_in_by_the_run(http: Bench, server: str) -> None:
    draft = of_http(f"{server}/x", auth={"type": "bearer", "token": {"secret": "API_TOKEN"}})
    record = http.run(draft.spec)

    assert draft.spec.secrets == ("API_TOKEN",)
    assert "t0ken" not in draft.spec.to_json()
    # What comes back is masked as all output is.
    assert echoed(record)["headers"]["Authorization"] == "Bearer ***"


@pytest.mark.parametrize(
    ("auth", "name", "value"),
    [
        (
            {"type": "basic", "username": "u", "password": "p:w"},
            "Authorization",
            "Basic " + base64.b64encode(b"u:p:w").decode(),
        ),
        (
            {"type": "basic", "username": "ü", "password": "日本"},
            "Authorization",
            "Basic " + base64.b64encode("ü:日本".encode()).decode(),
        ),
        ({"type": "api_key", "name": "X-Key", "value": "k"}, "X-Key", "k"),
    ],
)
def test_authentication_goes_into_a_header(http: Bench, server: str, auth: dict, name: str, value: str) -> None:
    assert echoed(run(http, f"{server}/x", auth=auth))["headers"][name] == value


def test_an_api_key_goes_into_the_query_and_is_never_shown(http: Bench, server: str) -> None:
    record = run(http, f"{server}/x?a=1", auth={"type": "api_key", "name": "key", "value": "k&y", "in": "query"})

    assert echoed(record)["path"] == "/x?a=1&key=k%26y"
    assert "k&y" not in record.stderr.text + record.usage.to_dict().__repr__()


def test_a_secret_that_the_run_does_not_have_is_named(http: Bench, server: str) -> None:
    config = {"url": server, "headers": {"A": {"secret": "NOT_ASKED_FOR"}}}
    spec = of_http(server).spec
    object.__setattr__(spec, "config", config)
    record = http.run(spec)

    assert record.outcome is State.FAILED
    assert "secret NOT_ASKED_FOR is not in the environment of the run" in (record.usage.error_message or "")


@pytest.mark.parametrize(
    ("status", "expect", "outcome"),
    [
        (204, None, State.SUCCEEDED),
        (304, None, State.SUCCEEDED),
        (404, None, State.FAILED),
        (500, None, State.FAILED),
        (404, [404, 410], State.SUCCEEDED),
        (200, [201], State.FAILED),
    ],
)
def test_the_status_decides(http: Bench, server: str, status: int, expect: list[int] | None, outcome: State) -> None:
    record = run(http, f"{server}/status/{status}", expect=expect)

    assert record.outcome is outcome
    assert record.usage.custom["http.status"] == status
    if outcome is State.FAILED:
        assert f": {status} " in (record.usage.error_message or "")


def test_bytes_of_any_kind_are_counted_and_kept(http: Bench, server: str) -> None:
    record = run(http, f"{server}/bytes")

    assert record.usage.stdout_size_bytes == record.usage.custom["http.response_bytes"] == 1024 * 1024


def test_a_head_request_has_no_body(http: Bench, server: str) -> None:
    record = run(http, f"{server}/bytes", "HEAD")

    assert (record.outcome, record.usage.stdout_size_bytes) == (State.SUCCEEDED, 0)


def test_redirects_are_followed_and_a_post_becomes_a_get(http: Bench, server: str) -> None:
    said = echoed(run(http, f"{server}/to/{server}/end", "POST", body="x", headers={"X-Mine": "1"}))

    assert (said["method"], said["path"], said["body"]) == ("GET", "/end", "")
    assert said["headers"]["X-Mine"] == "1"


def test_another_host_is_told_no_secret_after_a_redirect(http: Bench, server: str) -> None:
    elsewhere = server.replace("127.0.0.1", "localhost")
    auth = {"type": "bearer", "token": {"secret": "API_TOKEN"}}
    said = echoed(run(http, f"{server}/to/{elsewhere}/end", auth=auth, headers={"X-Mine": "1"}))

    assert said["path"] == "/end"
    assert not {"authorization", "x-mine"} & {name.lower() for name in said["headers"]}


def test_a_redirect_to_where_jobs_may_not_go_is_refused(engine: Engine, tmp_path: Path, server: str) -> None:
    bench = Bench(engine, tmp_path)
    bench.rules = HostRules(http_allow="localhost")
    near = server.replace("127.0.0.1", "localhost")
    record = run(bench, f"{near}/to/{server}/end")

    assert record.outcome is State.FAILED
    assert "HTTP jobs may not go to 127.0.0.1" in (record.usage.error_message or "")
    assert "http.status" not in record.usage.custom


@pytest.mark.parametrize("place", ["ftp://127.0.0.1/", "file:///etc/passwd", "http://u:p@127.0.0.1/"])
def test_a_redirect_to_what_is_no_plain_address_is_refused(http: Bench, server: str, place: str) -> None:
    record = run(http, f"{server}/to/{place}")

    assert record.outcome is State.FAILED
    assert "config.url" in (record.usage.error_message or "")


def test_redirects_in_a_circle_come_to_an_end(http: Bench, server: str) -> None:
    assert "more than 10 redirects" in (run(http, f"{server}/loop").usage.error_message or "")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "0.0.0.0", "2130706433", "127.1"])
def test_with_nothing_allowed_this_machine_is_out_of_reach(
    engine: Engine, tmp_path: Path, server: str, host: str
) -> None:
    record = run(Bench(engine, tmp_path), server.replace("127.0.0.1", host))

    assert record.outcome is State.FAILED
    assert "list it in SCRIPTFLEET_HTTP_ALLOW" in (record.usage.error_message or "")


def test_an_answer_that_breaks_off_is_a_failure(http: Bench, server: str) -> None:
    record = run(http, f"{server}/broken")

    assert record.outcome is State.FAILED
    assert "broke off, 995 bytes short" in (record.usage.error_message or "")


def test_a_server_that_is_not_there_is_told_in_one_line(http: Bench) -> None:
    record = run(http, "http://127.0.0.1:9/x?key=k3y")

    assert record.outcome is State.FAILED
    assert record.stderr.text.count("\n") == 1
    assert "no answer from http://127.0.0.1:9/x: Connection refused" in record.stderr.text


def test_a_server_that_does_not_answer_is_given_up(http: Bench, server: str) -> None:
    record = run(http, f"{server}/slow", request_timeout=0.3)

    assert record.outcome is State.FAILED
    assert "within 0.3 s" in (record.usage.error_message or "")


def test_the_time_limit_of_the_job_holds_as_for_any_script(http: Bench, server: str) -> None:
    record = run(http, f"{server}/slow", timeout=0.5, grace=0.1)

    assert record.outcome is State.TIMED_OUT


def test_what_lies_in_the_working_folder_is_not_imported(http: Bench, server: str) -> None:
    for name in ("json.py", "ssl.py", "scriptfleet.py"):
        (http.folder / name).write_text("raise SystemExit('taken over')")
    record = run(http, f"{server}/x", working_dir=http.folder, env={"PYTHONPATH": str(http.folder)})

    assert record.outcome is State.SUCCEEDED
