"""Each route by each role: a route that declares no role, or that this table does not know, fails here."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import iter_route_contexts

from scriptfleet.config import Settings
from scriptfleet.domain.role import Role
from scriptfleet.results.access.guard import LOGIN, OPEN_PATHS
from scriptfleet.results.access.needs import OpenToAll, RoleNeeded
from scriptfleet.results.app import create_routes, keyring_of
from scriptfleet.storage.engine import open_store
from tests.results_service import ScriptedFleet, ScriptedIngest, parts_of


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


def test_each_route_says_who_may_ask_it_and_the_open_ones_are_those_that_the_guard_lets_through(
    sqlite_url: str,
) -> None:
    database = open_store(sqlite_url)
    settings, parts = Settings(Path("/nowhere")), parts_of(database, ScriptedFleet(), ScriptedIngest())
    app = create_routes(settings, parts, keyring_of(settings, database))

    routes = list(declared(app))

    assert {route.path for route in routes if route.role is None} == OPEN_PATHS
    assert [route.path for route in routes if route.method != "GET" and route.role is None] == [LOGIN]
    database.close()


def _all(dependant: Dependant) -> Iterator[Dependant]:
    for one in dependant.dependencies:
        yield one
        yield from _all(one)
