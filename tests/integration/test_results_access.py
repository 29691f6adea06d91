"""Logging in, sessions, pages of other sites, and the audit log, over real HTTP."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
import sqlalchemy as sa

from scriptfleet.domain.role import Role
from scriptfleet.results.access.login import local_path
from scriptfleet.results.pages import live_line
from scriptfleet.results.rest import event_stream
from scriptfleet.storage.engine import Database, open_store
from scriptfleet.storage.token_store import TokenStore
from tests.eventually import eventually
from tests.results_service import Service, running

COOKIE = "scriptfleet_session"
PAGE = {"Accept": "text/html"}


def token(service: Service, role: Role = Role.ADMIN, name: str = "ann", seconds: float | None = None) -> str:
    """Give a token of the store, once the service asks for one."""
    secret = TokenStore(service.database).add(name, role, "test", None if seconds is None else time.time() + seconds)
    eventually(lambda: service.client.get("/api/v1/jobs").status_code == 401)
    return secret


@contextmanager
def browser(service: Service) -> Iterator[httpx.Client]:
    origin = str(service.client.base_url)
    with httpx.Client(base_url=origin, headers={**PAGE, "Sec-Fetch-Site": "same-origin"}, timeout=60) as client:
        yield client


def log_in(client: httpx.Client, secret: str, wanted: str = "/") -> httpx.Response:
    return client.post("/login", data={"token": secret, "next": wanted})


def csrf_token(client: httpx.Client) -> str:
    found = re.search(r'name="csrf_token" value="([0-9a-f]{64})"', client.get("/account").text)
    assert found is not None
    return found[1]


def audited(service: Service, secret: str) -> list[dict[str, str]]:
    answer = service.client.get("/api/v1/audit", headers={"Authorization": f"Bearer {secret}"})
    assert answer.status_code == 200, answer.text
    found: list[dict[str, str]] = answer.json()["entries"]
    return found


def test_a_fleet_asks_for_a_token_from_when_it_has_one_and_goes_on_when_that_ends(service: Service) -> None:
    assert service.client.get("/api/v1/jobs").status_code == 200
    secret = token(service)

    assert service.client.get("/api/v1/jobs", headers={"Authorization": f"Bearer {secret}"}).status_code == 200
    TokenStore(service.database).revoke("ann")

    assert service.client.get("/api/v1/jobs", headers={"Authorization": f"Bearer {secret}"}).status_code == 401
    assert service.client.get("/api/v1/jobs").status_code == 401


def test_a_page_leads_to_the_login_and_back_and_the_cookie_is_kept_from_scripts(service: Service) -> None:
    secret = token(service)
    with browser(service) as client:
        sent = client.get("/runs/x?name=a b")
        assert (sent.status_code, sent.headers["location"]) == (303, "/login?next=%2Fruns%2Fx%3Fname%3Da%2520b")
        form = client.get(sent.headers["location"])
        assert (form.status_code, 'value="/runs/x?name=a%20b"' in form.text) == (200, True)

        done = log_in(client, secret, "/runs/x?name=a%20b")

        assert (done.status_code, done.headers["location"]) == (303, "/runs/x?name=a%20b")
        cookie = done.headers["set-cookie"]
        assert re.fullmatch(rf"{COOKIE}=[\w-]{{43}}; HttpOnly; Max-Age=43200; Path=/; SameSite=lax", cookie), cookie
        assert secret not in cookie
        assert client.get("/account").status_code == 200
        assert "admin" in client.get("/account").text


def test_a_session_id_that_somebody_planted_is_not_the_one_that_is_logged_in(service: Service) -> None:
    secret = token(service)
    with browser(service) as client:
        client.cookies.set(COOKIE, "planted")
        done = log_in(client, secret)
        fresh = done.headers["set-cookie"].partition("=")[2].partition(";")[0]
        assert fresh != "planted"
        assert service.client.get("/account", headers={"Cookie": f"{COOKIE}=planted"}).status_code == 401

        again = log_in(client, secret)

        assert again.headers["set-cookie"].partition("=")[2].partition(";")[0] != fresh
        assert service.client.get("/account", headers={"Cookie": f"{COOKIE}={fresh}"}).status_code == 401


def test_a_logout_ends_the_session_for_whoever_has_the_cookie(service: Service) -> None:
    secret = token(service)
    with browser(service) as client:
        log_in(client, secret)
        kept = {"Cookie": f"{COOKIE}={client.cookies[COOKIE]}"}
        assert service.client.get("/account", headers=kept).status_code == 200

        out = client.post("/logout", data={"csrf_token": csrf_token(client)})

        assert (out.status_code, out.headers["location"]) == (303, "/login")
        assert COOKIE not in client.cookies
        assert service.client.get("/account", headers=kept).status_code == 401


def test_a_session_ends_with_its_token_and_no_later_than_it(service: Service) -> None:
    short = token(service, name="short", seconds=900)
    long = token(service, name="long")
    with browser(service) as client:
        assert 800 < int(re.findall(r"Max-Age=(\d+)", log_in(client, short).headers["set-cookie"])[0]) <= 900
        log_in(client, long)
        assert client.get("/account").status_code == 200
        TokenStore(service.database).revoke("long")
        assert client.get("/account").status_code == 303


def test_a_line_that_is_followed_ends_with_the_token_that_it_was_opened_with(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = "/overview/events"
    for module, name in ((event_stream, "_ASKED_EVERY_SECONDS"), (live_line, "_HEARTBEAT_SECONDS")):
        monkeypatch.setattr(module, name, 0.1)
    stays, goes = ({"Authorization": f"Bearer {token(service, name=name)}"} for name in ("ann", "bob"))
    with (
        service.client.stream("GET", path, headers=stays) as kept,
        service.client.stream("GET", path, headers=goes) as cut,
    ):
        lines, still = cut.iter_lines(), kept.iter_lines()
        assert next(lines).startswith("retry")
        assert next(still).startswith("retry")
        TokenStore(service.database).revoke("bob")

        assert len(list(lines)) < 1_000

        assert next(line for line in still if line)
        assert service.client.get(path, headers=goes).status_code == 401


def test_a_session_that_expired_is_none(service: Service) -> None:
    secret = token(service)
    with browser(service) as client:
        log_in(client, secret)
        with service.database.writing() as connection:
            connection.execute(sa.text("UPDATE sessions SET expires_at = 1"))
        assert client.get("/account").status_code == 303


def test_a_session_of_the_environments_token_ends_when_that_changes(sqlite_url: str) -> None:
    database = open_store(sqlite_url)
    with running(database, token="word") as service, browser(service) as client:
        log_in(client, "word")
        kept = {"Cookie": f"{COOKIE}={client.cookies[COOKIE]}"}
        assert client.get("/account").status_code == 200
    with running(database, token="another") as service:
        assert service.client.get("/account", headers=kept).status_code == 401
    database.close()


@pytest.mark.parametrize(
    ("headers", "form", "status"),
    [
        ({}, {}, 403),
        ({}, {"csrf_token": "0" * 64}, 403),
        ({}, {"csrf_token": "é"}, 403),
        ({"X-CSRF-Token": "0" * 64}, {}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, {"csrf_token": "right"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, {"csrf_token": "right"}, 403),
        ({"Content-Type": "text/plain"}, {"csrf_token": "right"}, 403),
        ({"Content-Type": "multipart/form-data"}, {"csrf_token": "right"}, 403),
        ({}, {"csrf_token": "right"}, 303),
        ({"X-CSRF-Token": "right"}, {}, 303),
    ],
)
def test_a_change_with_a_session_needs_the_token_of_its_pages(
    service: Service, headers: dict[str, str], form: dict[str, str], status: int
) -> None:
    secret = token(service)
    with browser(service) as client:
        log_in(client, secret)
        right = csrf_token(client)
        sent = {name: value.replace("right", right) for name, value in headers.items()}
        fields = {name: value.replace("right", right) for name, value in form.items()}
        answer = client.post("/logout", data=fields, headers=sent)

        assert answer.status_code == status
        assert (client.get("/account").status_code == 200) == (status == 403)


def test_the_token_of_one_session_is_no_good_with_another(service: Service) -> None:
    secret = token(service)
    with browser(service) as one, browser(service) as other:
        log_in(one, secret)
        log_in(other, secret)
        assert one.post("/logout", data={"csrf_token": csrf_token(other)}).status_code == 403


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost:1", "http://127.0.0.1"])
def test_a_page_of_another_site_changes_nothing_where_no_token_is_needed_either(service: Service, origin: str) -> None:
    for headers in ({"Origin": origin}, {"Origin": origin, "Sec-Fetch-Site": "cross-site"}):
        answer = service.client.post("/logout", headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (403, "cross_site")
    assert service.client.post("/logout").status_code == 303
    own = str(service.client.base_url).rstrip("/")
    assert service.client.post("/logout", headers={"Origin": own}).status_code == 303


def test_a_login_that_another_sites_form_sends_is_refused(service: Service) -> None:
    secret = token(service)
    answer = service.client.post("/login", data={"token": secret}, headers={"Origin": "https://evil.example", **PAGE})
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers


def test_a_token_sent_as_bearer_needs_no_token_of_pages_but_one_that_browsers_send_by_themselves_does_care(
    service: Service,
) -> None:
    secret = token(service)
    elsewhere = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
    bearer = service.client.post("/logout", headers={"Authorization": f"Bearer {secret}", **elsewhere})
    basic = service.client.post("/logout", auth=("any", secret), headers=elsewhere)

    assert (bearer.status_code, basic.status_code) == (303, 403)
    assert service.client.post("/logout", auth=("any", secret)).status_code == 303


@pytest.mark.parametrize("given", ["", "wrong", "sft_wrong", "é\x00", "a" * 20_000])
def test_a_wrong_token_is_told_on_the_page_and_kept_in_the_log(service: Service, given: str) -> None:
    secret = token(service)
    with browser(service) as client:
        answer = log_in(client, given)
        assert (answer.status_code, "no longer good" in answer.text) == (401, True)
        assert "set-cookie" not in answer.headers

    last = audited(service, secret)[0]
    assert (last["actor"], last["action"], last["result"]) == ("nobody", "login", "401 Unauthorized")
    assert last["address"] == "127.0.0.1"


def test_who_guesses_must_wait_even_with_the_right_token_and_the_log_does_not_grow(service: Service) -> None:
    secret = token(service)
    with browser(service) as client:
        assert {log_in(client, f"guess {at}").status_code for at in range(10)} == {401}
        for guess in ("guess", secret):
            answer = log_in(client, guess)
            assert answer.status_code == 429
            assert 1 <= int(answer.headers["retry-after"]) <= 60
    assert len([one for one in audited(service, secret) if one["action"] == "login"]) == 10


def test_services_of_one_database_count_the_tries_together(service: Service) -> None:
    secret = token(service)
    with running(service.database) as other, browser(service) as here, browser(other) as there:
        for at in range(5):
            assert (log_in(here, f"a{at}").status_code, log_in(there, f"b{at}").status_code) == (401, 401)

        assert (log_in(here, secret).status_code, log_in(there, secret).status_code) == (429, 429)


def test_logins_that_are_right_count_no_tries(service: Service) -> None:
    secret = token(service)
    with browser(service) as client:
        assert {log_in(client, secret).status_code for _ in range(12)} == {303}


@pytest.mark.parametrize(
    "wanted",
    [
        "https://evil.example/",
        "//evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "/\t/evil.example",
        "javascript:alert(1)",
        "http:evil",
        "/%0d%0aSet-Cookie: a=b\r\nX: y",
        "runs/x",
        "",
        "/login",
        "/logout",
        "//[",
        "/" + "a" * 3000,
    ],
)
def test_after_the_login_it_goes_on_to_pages_of_this_service_alone(service: Service, wanted: str) -> None:
    assert local_path(wanted) == "/"
    secret = token(service)
    with browser(service) as client:
        done = log_in(client, secret, wanted)
        assert (done.status_code, done.headers["location"]) == (303, "/")


def test_a_hostile_address_to_go_on_to_is_escaped_in_the_form(service: Service) -> None:
    token(service)
    shown = service.client.get("/login", params={"next": '/"><script>alert(1)</script>'}, headers=PAGE).text
    assert "<script" not in shown


@pytest.mark.parametrize("query", ["token=x", "access_token=x", "API_KEY=x", "name=sft_abc", "a=1&token"])
def test_a_token_in_an_address_is_refused(service: Service, query: str) -> None:
    for path in ("/api/v1/jobs", "/login", "/metrics"):
        answer = service.client.get(f"{path}?{query}")
        assert (answer.status_code, answer.json()["code"]) == (400, "token_in_address")


def test_each_change_is_in_the_log_with_who_from_where_and_what_came_of_it(service: Service) -> None:
    admin, viewer = token(service), token(service, Role.VIEWER, "bob")
    for secret in (admin, viewer):
        service.client.post("/logout", headers={"Authorization": f"Bearer {secret}"})
    service.client.post("/nowhere", headers={"Authorization": f"Bearer {viewer}"})
    service.client.post("/nowhere")

    entries = [
        (one["actor"], one["role"], one["address"], one["action"], one["target"], one["result"])
        for one in audited(service, admin)
    ]

    assert entries == [
        ("bob", "viewer", "127.0.0.1", "POST no route", "/nowhere", "404 Not Found"),
        ("bob", "viewer", "127.0.0.1", "logout", "/login", "ok"),
        ("ann", "admin", "127.0.0.1", "logout", "/login", "ok"),
    ]


def test_the_log_is_paged_and_filtered_for_admins(database: Database) -> None:
    with running(database, token="s3cret") as service:
        asks = {"Authorization": "Bearer s3cret"}
        for _ in range(3):
            service.client.post("/logout", headers=asks)
        first = service.client.get("/api/v1/audit?limit=2&actor=environment", headers=asks).json()
        rest = service.client.get("/api/v1/audit", params={"cursor": first["next_cursor"]}, headers=asks).json()
        assert (len(first["entries"]), len(rest["entries"])) == (2, 1)
        assert service.client.get("/api/v1/audit?action=job.cancel", headers=asks).json()["entries"] == []
        for bad in ("actor=%00", "limit=0", "since=x", "cursor=x", "who=ann"):
            assert service.client.get(f"/api/v1/audit?{bad}", headers=asks).status_code == 422


def test_a_change_that_the_log_cannot_take_is_told_to_the_services_own_log(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    with service.database.writing() as connection:
        connection.execute(sa.text("DROP TABLE audit"))

    assert service.client.post("/logout").status_code == 303
    assert "audit_not_kept" in caplog.text
    assert "actor='local'" in caplog.text


def test_health_is_told_and_the_rest_is_not_while_nobody_can_say_who_asks(service: Service) -> None:
    secret = token(service)
    with service.database.writing() as connection:
        connection.execute(sa.text("DROP TABLE tokens"))
    asks = {"Authorization": f"Bearer {secret}"}

    assert service.client.get("/healthz", headers=asks).status_code == 200
    assert service.client.get("/readyz", headers=asks).json()["parts"]["database"] == "ok"
    assert service.client.get("/api/v1/jobs", headers=asks).status_code == 503


def test_metrics_are_open_where_that_was_said(sqlite_url: str) -> None:
    database = open_store(sqlite_url)
    with running(database, token="s3cret", open_metrics=True) as service:
        assert service.client.get("/metrics").status_code == 200
        assert service.client.get("/api/v1/jobs").status_code == 401
    database.close()


def test_people_are_told_on_a_page_why_their_form_is_refused(service: Service) -> None:
    secret = token(service)
    with browser(service) as client:
        log_in(client, secret)
        old = client.post("/submit", data={"csrf_token": "0" * 64})
        client.cookies.clear()
        unknown = client.post("/submit", data={})

    assert (old.status_code, unknown.status_code) == (403, 401)
    for answer in (old, unknown):
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert "<h1>" in answer.text
    assert "load the page again" in old.text
    assert 'href="/login"' in unknown.text
