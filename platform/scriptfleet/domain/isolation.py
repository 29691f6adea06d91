"""How far a run is kept apart from the machine it runs on. All of it is on request."""

from typing import Any, Self

from scriptfleet.domain import check
from scriptfleet.domain.value import content_of, names_of, value
from scriptfleet.errors import InvalidValue


@value(frozen=True, slots=True)
class Isolation:
    """What a run asks for; a worker that cannot give it refuses the job by name."""

    #: Name of the user to run as; the worker must be root for another than its own.
    user: str | None = None
    #: An empty /tmp of the run's own.
    private_tmp: bool = False
    #: Paths that cannot be written by the run.
    read_only: tuple[str, ...] = ()
    #: A network of its own with nothing but loopback; network bytes are then exact.
    no_network: bool = False
    #: Nothing it starts gains privileges, such as by setuid programs.
    no_new_privileges: bool = False

    def __post_init__(self) -> None:
        check.optional_text("isolation.user", self.user, 64)
        for path in check.strings("isolation.read_only", self.read_only):
            if not path.startswith("/"):
                raise InvalidValue("isolation.read_only", path, "an absolute path")
        for name in ("private_tmp", "no_network", "no_new_privileges"):
            if not isinstance(getattr(self, name), bool):
                raise InvalidValue(f"isolation.{name}", getattr(self, name), "true or false")

    def __bool__(self) -> bool:
        """Whether anything is asked for."""
        return self != _NONE

    def to_dict(self) -> dict[str, Any]:
        """Give the fields that differ from the defaults."""
        return {
            name: list(said) if isinstance(said, tuple) else said for name, said in content_of(self).items() if said
        }

    @classmethod
    def from_dict(cls, data: object) -> Self:
        """Read what to_dict wrote, or what a user gave; an unknown name is refused."""
        given = check.mapping("isolation", data)
        known = set(names_of(cls))
        for name in given.keys() - known:
            raise InvalidValue("isolation", name, f"one of {', '.join(sorted(known))}")
        if "read_only" in given:
            given["read_only"] = check.strings("isolation.read_only", given["read_only"])
        return cls(**given)


_NONE = Isolation()
