"""Each route by each role: a route that declares no role, or that this table does not know, fails here."""

import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import iter_route_contexts

from scriptfleet.config import Settings
from scriptfleet.domain.role import Role
from scriptfleet.results.access.cross_site import SAFE_METHODS
from scriptfleet.results.access.guard import LOGIN, OPEN_PATHS
from scriptfleet.results.access.needs import OpenToAll, RoleNeeded
from scriptfleet.results.app import create_routes, keyring_of
from scriptfleet.storage.engine import Database, open_store
from scriptfleet.storage.token_store import TokenStore
from tests.results_service import ScriptedFleet, ScriptedIngest, Service, parts_of, running
from tests.route_roles import ROLES


class Declared(NamedTuple):
    """What a route says of who may ask it; no role means that anybody may."""

    method: str
    path: str
    role: Role | None


def declared(app: FastAPI) -> Iterator[Declared]:
    """Give what each route of an app declares; fails on one that declares nothing."""
    for route in iter_route_contexts(app.routes):
        calls = [one.call for one in _all(route.dependant)]
        roles = [call.role for call in calls if isinstance(call, RoleNeeded)]
        is_open = any(isinstance(call, OpenToAll) for call in calls)
        assert bool(roles) != is_open, f"{route.path}: it declares no role, or that and open_to_all"
        for method in sorted(route.methods or ()):
            yield Declared(method, str(route.path), max(roles, key=list(Role).index) if roles else None)


def test_each_route_has_the_role_of_the_table_and_the_open_ones_are_those_that_the_guard_lets_through(
    sqlite_url: str,
) -> None:
    database = open_store(sqlite_url)
    routes = _routes_of(database)

    assert {(route.method, route.path): route.role for route in routes} == ROLES
    assert {route.path for route in routes if route.role is None} == OPEN_PATHS
    changes = [route for route in routes if route.method not in SAFE_METHODS]
    assert [route.path for route in changes if route.role is None] == [LOGIN]
    assert [route.path for route in changes if route.role is Role.VIEWER] == ["/logout"]
    database.close()


@pytest.fixture
def asked(sqlite_url: str) -> Iterator[tuple[Service, list[Declared]]]:
    """A service that asks for tokens, and its routes."""
    database = open_store(sqlite_url)
    with running(database, token="s3cret") as service:
        yield service, _routes_of(database)
    database.close()


def _routes_of(database: Database) -> list[Declared]:
    settings, parts = Settings(Path("/nowhere")), parts_of(database, ScriptedFleet(), ScriptedIngest())
    return list(declared(create_routes(settings, parts, keyring_of(settings, database))))


def test_without_a_token_nothing_but_health_and_the_login_is_to_be_had(
    asked: tuple[Service, list[Declared]],
) -> None:
    service, routes = asked
    for route in routes:
        for headers in ({}, {"Authorization": "Bearer sft_wrong"}, {"Cookie": "scriptfleet_session=wrong"}):
            status, body = ask(service, route, headers)
            is_refused = route.role is not None or route.method not in SAFE_METHODS
            assert (status == 401) == is_refused, f"{route}: {status}"
            has_body = route.role is not None and route.method != "HEAD"
            assert not has_body or json.loads(body)["code"] == "unauthorized", f"{route}: {body!r}"


@pytest.mark.parametrize("role", Role)
def test_each_route_is_open_to_its_role_and_those_above_alone(
    asked: tuple[Service, list[Declared]], role: Role
) -> None:
    service, routes = asked
    secret = TokenStore(service.database).add("one", role, "test")
    for route in routes:
        status, body = ask(service, route, {"Authorization": f"Bearer {secret}"})
        is_refused = status == 403 and (b"role_too_low" in body or route.method == "HEAD")
        assert is_refused == (route.role is not None and not role.includes(route.role)), f"{route}: {status}"
        assert is_refused or route.path == LOGIN or status != 401, f"{route}: {status}"


def ask(service: Service, route: Declared, headers: dict[str, str]) -> tuple[int, bytes]:
    """Ask a route with an empty body; the answer's beginning is enough, for some follow what goes on."""
    path = re.sub(r"\{[^}]*\}", "x", route.path)
    with service.client.stream(route.method, path, headers=headers) as answer:
        return answer.status_code, answer.read() if answer.status_code >= 400 else b""


@pytest.mark.parametrize(
    "path",
    [
        "/../../etc/passwd",
        "/style.css/../../../../etc/passwd",
        "/static/..%2f..%2f..%2fetc/passwd",
        "/runs/..%2f..%2f..%2fetc%2fpasswd",
        "/api/v1/runs/..%2f..%2fetc%2fpasswd/output",
        "/api/v1/runs/x/artifacts/..%2f..%2f..%2fetc%2fpasswd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "//etc/passwd",
        "/style.css%00.html",
        "/healthz/../api/v1/jobs",
        "/healthz%2f..%2fapi/v1/jobs",
        "/login/../api/v1/jobs",
        "//healthz",
        "/HEALTHZ",
    ],
)
def test_a_path_that_climbs_reaches_no_file_and_no_route_that_is_guarded(
    asked: tuple[Service, list[Declared]], path: str
) -> None:
    service, _ = asked
    url = service.client.base_url
    for secret, statuses in (("", {401}), ("Authorization: Bearer s3cret\r\n", {404, 422})):
        with socket.create_connection((url.host, url.port or 80)) as plain:
            plain.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{secret}Connection: close\r\n\r\n".encode())
            answer = b"".join(iter(lambda: plain.recv(65_536), b""))
        assert int(answer.split()[1]) in statuses
        assert b"root:" not in answer


def _all(dependant: Dependant) -> Iterator[Dependant]:
    for one in dependant.dependencies:
        yield one
        yield from _all(one)
