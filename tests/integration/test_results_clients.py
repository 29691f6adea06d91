"""Clients that send too much, or too slowly, over raw sockets; and what is believed of proxies."""

import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from scriptfleet.config import Settings
from scriptfleet.errors import InvalidValue
from scriptfleet.results.app import create_app
from scriptfleet.results.bounded_body import BoundedBody, most_body_bytes
from scriptfleet.results.web_server import PatientProtocol, web_server
from scriptfleet.storage.engine import Database, open_store
from tests.eventually import eventually
from tests.results_service import ScriptedFleet, ScriptedIngest, parts_of, running, serving

Address = tuple[str, int]
#: More than sockets take while nobody reads.
LARGE_BYTES = 14 * 1024 * 1024
LOGIN_FORM = b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n"


@pytest.fixture
def store(sqlite_url: str) -> Iterator[Database]:
    database = open_store(sqlite_url)
    yield database
    database.close()


@contextmanager
def impatient(database: Database, monkeypatch: pytest.MonkeyPatch, token: str = "") -> Iterator[Address]:
    """A service that waits a moment for a request's head, and another one for its body."""
    monkeypatch.setattr(PatientProtocol, "head_seconds", 1.0)
    parts = parts_of(database, ScriptedFleet(), ScriptedIngest())
    app = create_app(Settings(Path("/nowhere"), api_token=token), parts)
    app = BoundedBody(app, 100_000, patience_seconds=1.0)
    with serving(app) as url:
        yield url.host, url.port or 80


def all_of(connection: socket.socket) -> bytes:
    found = b""
    try:
        while received := connection.recv(65_536):
            found += received
    except ConnectionResetError:
        # It is closed on a client that still sends.
        return found
    return found


def trickle(connection: socket.socket, stop: threading.Event) -> None:
    """Send one byte of a header after the other, without an end."""
    try:
        connection.sendall(b"X-Slow: ")
        while not stop.wait(0.02):
            connection.sendall(b"a")
    except OSError:
        return


@pytest.mark.parametrize("begun", [b"", b"GE", b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"])
def test_a_client_that_trickles_its_headers_is_hung_up_on_and_others_are_served(
    store: Database, monkeypatch: pytest.MonkeyPatch, begun: bytes
) -> None:
    with impatient(store, monkeypatch) as address, closing(socket.create_connection(address)) as slow:
        stop = threading.Event()
        thread = threading.Thread(target=trickle, args=(slow, stop))
        slow.sendall(begun)
        if begun.endswith(b"\r\n"):
            thread.start()
        assert httpx.get(f"http://{address[0]}:{address[1]}/healthz", timeout=60).status_code == 200

        # Without a deadline this would never come back.
        slow.settimeout(30)
        assert all_of(slow) == b""
        stop.set()
        if thread.ident:
            thread.join()


def test_the_second_request_of_a_connection_has_the_same_deadline(
    store: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    with impatient(store, monkeypatch) as address, closing(socket.create_connection(address)) as slow:
        slow.settimeout(30)
        slow.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert slow.recv(65_536).startswith(b"HTTP/1.1 200")
        slow.sendall(b"GET /healthz HTTP/1.1\r\nX: ")
        assert all_of(slow).count(b"HTTP/1.1 200") == 0


def test_a_body_that_trickles_is_answered_408(store: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    with impatient(store, monkeypatch) as address, closing(socket.create_connection(address)) as slow:
        slow.settimeout(30)
        slow.sendall(LOGIN_FORM + b"Content-Length: 5000\r\n\r\ntoken=")
        answer = all_of(slow)
    assert answer.startswith(b"HTTP/1.1 408")
    assert b'"request_timeout"' in answer


def test_a_body_that_says_it_is_too_large_is_refused_before_it_is_sent(
    store: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    with impatient(store, monkeypatch) as address, closing(socket.create_connection(address)) as client:
        client.settimeout(30)
        client.sendall(LOGIN_FORM + b"Content-Length: 100001\r\n\r\n")
        answer = all_of(client)
    assert answer.startswith(b"HTTP/1.1 413")
    assert b'"body_too_large"' in answer
    assert b"SCRIPTFLEET_BLOB_MAX_BYTES" in answer


@pytest.mark.parametrize(
    "head",
    [
        LOGIN_FORM + b"Content-Length: 100001\r\n",
        b"GET /nowhere HTTP/1.1\r\nHost: localhost\r\nContent-Length: 90000\r\n",
    ],
)
def test_a_client_that_goes_on_sending_what_was_answered_is_hung_up_on(
    store: Database, monkeypatch: pytest.MonkeyPatch, head: bytes
) -> None:
    with impatient(store, monkeypatch) as address, closing(socket.create_connection(address)) as slow:
        stop = threading.Event()
        thread = threading.Thread(target=trickle, args=(slow, stop))
        slow.sendall(head + b"\r\n")
        thread.start()
        slow.settimeout(30)
        assert all_of(slow).split(maxsplit=2)[1] in {b"413", b"404"}
        stop.set()
        thread.join()


def test_a_body_that_hides_its_size_is_refused_once_it_is_too_large(
    store: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    with impatient(store, monkeypatch, token="s3cret") as (host, port), httpx.Client(timeout=60) as client:
        url = f"http://{host}:{port}"
        assert client.post(f"{url}/login", data={"token": "s3cret"}).status_code == 303
        fits = client.post(f"{url}/logout", content=iter([b"a" * 1000] * 90), headers=form)
        answer = client.post(f"{url}/logout", content=iter([b"a" * 1000] * 110), headers=form)

    assert (fits.status_code, fits.json()["code"]) == (403, "cross_site")
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


def test_the_login_reads_no_more_than_a_form(store: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    with impatient(store, monkeypatch, token="s3cret") as (host, port):
        answer = httpx.post(f"http://{host}:{port}/login", data={"token": "s3cret", "more": "a" * 20_000}, timeout=60)
    assert answer.status_code == 401


@pytest.mark.parametrize("length", [b"-1", b"abc", b"1e9", b"99999999999999999999999"])
def test_a_length_that_cannot_be_is_refused(store: Database, monkeypatch: pytest.MonkeyPatch, length: bytes) -> None:
    with impatient(store, monkeypatch) as address, closing(socket.create_connection(address)) as client:
        client.settimeout(30)
        client.sendall(LOGIN_FORM + b"Content-Length: " + length + b"\r\n\r\n")
        assert client.recv(65_536).split()[1] in {b"400", b"413"}


def test_headers_without_an_end_are_refused(store: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    with impatient(store, monkeypatch) as address, closing(socket.create_connection(address)) as client:
        client.settimeout(30)
        client.sendall(b"GET /healthz HTTP/1.1\r\nX: " + b"a" * 40_000)
        assert client.recv(65_536).split()[1] in {b"400", b"431"}


def test_a_client_that_reads_slowly_gets_a_large_answer_whole_and_one_that_reads_nothing_is_hung_up_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(PatientProtocol, "read_seconds", 1.0)
    ended: list[str] = []

    async def in_one_piece(scope: Scope, _: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x" * LARGE_BYTES, "more_body": True})
        # This waits until the client has taken most of it, or was hung up on.
        await send({"type": "http.response.body", "body": b""})
        ended.append(scope["path"])

    with (
        serving(in_one_piece) as url,
        closing(asking(url, "/steady")) as steady,
        closing(asking(url, "/stuck")) as stuck,
    ):
        taken = all_slowly(steady)
        eventually(lambda: {"/steady", "/stuck"} <= {*ended}, within=60)

        assert taken.count(b"x") == LARGE_BYTES
        assert all_of(stuck).count(b"x") < LARGE_BYTES


def asking(url: httpx.URL, path: str) -> socket.socket:
    line = socket.socket()
    line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
    line.settimeout(30)
    line.connect((url.host, url.port or 80))
    line.sendall(f"GET {path} HTTP/1.1\r\nHost: {url.host}\r\nConnection: close\r\n\r\n".encode())
    return line


def all_slowly(connection: socket.socket) -> bytes:
    """Read with breaks that are many to each look of the server."""
    found, never = bytearray(), threading.Event()
    while received := connection.recv(65_536):
        found += received
        never.wait(0.01)
    return bytes(found)


def test_the_largest_script_fits_as_json_carries_it() -> None:
    assert most_body_bytes(3_000_000) > 4_000_000


def login_through(database: Database, **more: object) -> httpx.Response:
    with running(database, token="s3cret", **more) as service:
        return service.client.post(
            "/login",
            data={"token": "s3cret"},
            headers={"X-Forwarded-Proto": "https", "X-Forwarded-For": "198.51.100.7"},
        )


def test_what_a_proxy_says_is_believed_of_one_that_is_trusted_alone(store: Database) -> None:
    believed = login_through(store, trusted_proxies=("10.0.0.0/8", "127.0.0.1"))
    others = login_through(store, trusted_proxies=("10.0.0.0/8",))
    plain = login_through(store)

    assert believed.headers["set-cookie"].startswith("__Host-scriptfleet_session=")
    assert "; Secure" in believed.headers["set-cookie"]
    for answer in (others, plain):
        assert answer.headers["set-cookie"].startswith("scriptfleet_session=")
        assert "Secure" not in answer.headers["set-cookie"]
    with running(store, token="s3cret") as service:
        found = service.client.get("/api/v1/audit", headers={"Authorization": "Bearer s3cret"}).json()["entries"]
    assert [one["address"] for one in found] == ["127.0.0.1", "127.0.0.1", "198.51.100.7"]


def test_a_proxy_that_is_no_address_is_refused_by_name() -> None:
    with pytest.raises(InvalidValue, match=r"SCRIPTFLEET_TRUSTED_PROXIES: .*proxy\.example"):
        web_server(lambda *_: None, ["proxy.example"], threading.Event())  # type: ignore[arg-type]
