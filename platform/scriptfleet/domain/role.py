"""Who may do what: roles, each of which may all that the one before it may; and the actor behind a request."""

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """What a token allows, from the least."""

    #: Looks at everything, changes nothing.
    VIEWER = "viewer"
    #: Also submits, cancels, reruns, pauses: what the fleet is operated with.
    OPERATOR = "operator"
    #: Also sees and changes who may ask, and reads the audit log.
    ADMIN = "admin"

    def includes(self, other: "Role") -> bool:
        """Tell whether who has this role may what the other may."""
        return _ORDER.index(self) >= _ORDER.index(other)


_ORDER = tuple(Role)


@dataclass(frozen=True, slots=True)
class Actor:
    """Who asks: the name of a token, or ``local`` where no token guards the service."""

    name: str
    role: Role
