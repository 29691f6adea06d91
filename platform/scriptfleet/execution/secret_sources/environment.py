"""Secrets among environment variables."""

from collections.abc import Iterable, Mapping


class EnvironmentSecrets:
    """Secrets by name in a mapping that was read from the environment."""

    def __init__(self, variables: Mapping[str, str], prefix: str = "") -> None:
        """``prefix`` is what their variables begin with in the environment; ``variables`` are without it."""
        self._variables, self._prefix = variables, prefix

    def get(self, name: str, /) -> str | None:
        """Give the value, or None."""
        return self._variables.get(name)

    def places(self, name: str, /) -> Iterable[str]:
        """Give the variable."""
        return (f"the variable {self._prefix}{name}",)
