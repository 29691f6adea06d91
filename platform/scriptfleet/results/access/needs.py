"""The role that a route needs, declared where the route is made; a test finds each route that declares none."""

from typing import Any

from fastapi import Depends, Request
from fastapi.openapi.models import HTTPBearer as HTTPBearerModel
from fastapi.security.base import SecurityBase

from scriptfleet.domain.role import Actor, Role
from scriptfleet.errors import ScriptfleetError


class RoleTooLow(ScriptfleetError):
    """The actor may not do this."""

    def __init__(self, actor: Actor, needed: Role) -> None:
        self.actor, self.needed = actor, needed
        super().__init__(f"not allowed: {actor.name} is {actor.role}, this needs {needed}: ask an admin for a token")


class RoleNeeded(SecurityBase):
    """A dependency that lets through who has the role, and shows in OpenAPI that a token is needed."""

    def __init__(self, role: Role) -> None:
        self.role = role
        self.scheme_name = "token"
        self.model = HTTPBearerModel(
            description="A token of `scriptfleet token add NAME --role ROLE`, sent as `Bearer TOKEN`."
        )

    async def __call__(self, request: Request) -> Actor:
        """Give the actor; raises RoleTooLow."""
        actor = actor_of(request)
        if not actor.role.includes(self.role):
            raise RoleTooLow(actor, self.role)
        return actor


class OpenToAll:
    """A dependency that says: this route needs no token. It asks ``request.state.actor`` before it tells much."""

    async def __call__(self) -> None:
        """Let everyone through."""


# FastAPI types what Depends() gives as Any.
def needs(role: Role) -> Any:
    """Give what goes into ``dependencies=[…]`` of a route or router; of several, each must hold."""
    return Depends(RoleNeeded(role))


#: The same for a route that anybody may ask; its path stands in ``guard.OPEN_PATHS`` too.
open_to_all: Any = Depends(OpenToAll())


def actor_of(request: Request) -> Actor:
    """Give who asks, on a route that needs a role."""
    actor = request.state.actor
    if not isinstance(actor, Actor):
        raise TypeError(f"a route that needs a role was reached without an actor: {request.url.path}")
    return actor
