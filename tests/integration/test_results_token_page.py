"""The pages of tokens and of the audit log, over real HTTP as a browser sends forms."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from html import unescape

import httpx
import pytest

from scriptfleet.domain.role import Role
from scriptfleet.storage.audit_store import AuditEntry, AuditFilter, AuditStore
from scriptfleet.storage.paging import PageRequest
from scriptfleet.storage.token_store import TokenStore
from tests.eventually import eventually
from tests.results_service import Service


@contextmanager
def logged_in(service: Service, role: Role = Role.ADMIN) -> Iterator[httpx.Client]:
    secret = TokenStore(service.database).add(f"{role} ann", role, "test")
    eventually(lambda: service.client.get("/api/v1/jobs").status_code == 401)
    headers = {"Accept": "text/html", "Sec-Fetch-Site": "same-origin"}
    with httpx.Client(base_url=service.client.base_url, headers=headers, timeout=60) as client:
        assert client.post("/login", data={"token": secret}).status_code == 303
        yield client


def send(client: httpx.Client, address: str, **form: str) -> httpx.Response:
    found = re.search(r'name="csrf_token" value="([0-9a-f]{64})"', client.get("/account").text)
    assert found is not None
    return client.post(address, data={**form, "csrf_token": found[1]})


def entries(service: Service, action: str) -> list[AuditEntry]:
    return AuditStore(service.database).page(AuditFilter(action=action), PageRequest()).items


def test_a_token_is_made_on_a_page_that_shows_its_secret_once_and_is_in_the_log_without_it(service: Service) -> None:
    with logged_in(service) as client:
        answer = send(client, "/tokens", name="ci/cd", role="operator", days="30")
        secret = re.findall(r"sft_[\w-]{43}", answer.text)

        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "no-store"
        assert len(secret) == 1
        assert secret[0] not in client.get("/tokens").text
        found = TokenStore(service.database).find(secret[0], 0)
        assert found is not None
        assert (found.name, found.role, found.created_by) == ("ci/cd", "operator", "admin ann")
        assert found.expires_at == pytest.approx(found.created_at + 30 * 86_400, abs=60)
        (entry,) = entries(service, "token.add")
        assert (entry.actor, entry.target, entry.result) == ("admin ann", "ci/cd", "ok")
        assert secret[0] not in str(entry)


def test_a_token_is_revoked_on_the_page_and_lets_nobody_in_any_more(service: Service) -> None:
    secret = TokenStore(service.database).add("ci/cd", Role.VIEWER, "test")
    with logged_in(service) as client:
        answer = send(client, "/tokens/revoke", name="ci/cd")
        assert answer.headers["location"] == "/tokens?revoked=ci%2Fcd"
        assert "ci/cd is revoked" in client.get(answer.headers["location"]).text
        assert "is revoked" not in client.get("/tokens?revoked=nobody").text
        again = send(client, "/tokens/revoke", name="ci/cd")

    assert service.client.get("/api/v1/jobs", headers={"Authorization": f"Bearer {secret}"}).status_code == 401
    assert again.status_code == 422
    assert [one.result for one in entries(service, "token.revoke")] == ["422 Unprocessable Entity", "ok"]


REFUSED = [
    ({"name": "taken"}, "no other token has had"),
    ({"name": ""}, "token name"),
    ({"name": "sft_x"}, "token name"),
    ({"name": "x", "role": "root"}, "role: "),
    *(({"name": "x", "days": days}, "days: ") for days in ("0", "-1", "x", "nan", "inf", "1e9")),
]


def test_a_token_that_cannot_be_is_refused_beside_the_form_as_it_was_filled_in(service: Service) -> None:
    TokenStore(service.database).add("taken", Role.VIEWER, "test")
    with logged_in(service) as client:
        for form, told in REFUSED:
            answer = send(client, "/tokens", **{"role": "viewer", **form})
            assert answer.status_code == 422, form
            assert told in unescape(answer.text)
            assert f'name="name" value="{form["name"]}"' in answer.text

    assert len(TokenStore(service.database).list()) == 2


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR])
def test_who_is_no_admin_sees_no_way_to_tokens_and_log_and_a_form_without_its_page_makes_none(
    service: Service, role: Role
) -> None:
    with logged_in(service, role) as client:
        home = client.get("/runs").text
        assert "/tokens" not in home
        assert "/audit" not in home
        assert send(client, "/tokens", name="x", role="admin").status_code == 403
        assert client.get("/audit").status_code == 403
        assert ("<textarea" in client.get("/submit").text) == (role is Role.OPERATOR)
    with logged_in(service) as client:
        assert "/tokens" in client.get("/runs").text
        assert client.post("/tokens", data={"name": "x", "role": "admin"}).status_code == 403

    assert "x" not in [one.name for one in TokenStore(service.database).list()]


def test_without_any_token_the_page_says_what_the_first_one_does(service: Service) -> None:
    found = service.client.get("/tokens", headers={"Accept": "text/html"}).text

    assert "From the first one on all must log in" in found
    assert '<option value="admin" selected>' in found


def test_the_log_is_filtered_by_who_what_and_when_and_paged(service: Service) -> None:
    log = AuditStore(service.database)
    for at in range(120):
        who = "bob" if at % 2 else "<b>eve</b>"
        detail = {"reason": "</td><script>"} if at == 119 else None
        log.add(AuditEntry(1e9 + at, who, "admin", "10.0.0.1", "job.cancel", f"job-{at}", "ok", detail))

    first = page(service, "/audit")
    assert rows(first) == [f"job-{at}" for at in range(119, 69, -1)]
    assert "<script>" not in first
    assert "&lt;b&gt;eve&lt;/b&gt;" in first
    (more,) = re.findall(r'rel="next" href="([^"]*)"', first)
    assert rows(page(service, unescape(more))) == [f"job-{at}" for at in range(69, 19, -1)]

    assert rows(page(service, "/audit?actor=bob&target=&action=job.cancel&since=2001-09-09T01:48:33")) == [
        "job-119",
        "job-117",
        "job-115",
        "job-113",
    ]
    assert rows(page(service, "/audit?target=job-7")) == ["job-7"]
    assert "No entry is like this" in page(service, "/audit?actor=nobody")
    assert page(service, "/audit?since=x", 422).count('role="alert"') == 1
    assert page(service, "/audit?cursor=x", 422).count('role="alert"') == 1


def page(service: Service, address: str, status: int = 200) -> str:
    answer = service.client.get(address, headers={"Accept": "text/html"})
    assert answer.status_code == status, answer.text
    return answer.text


def rows(html: str) -> list[str]:
    return re.findall(r'<td title="(job-\d+)">', html)
