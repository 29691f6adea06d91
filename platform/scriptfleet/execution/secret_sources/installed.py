"""Secrets from providers that other packages bring, found by their entry points."""

from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Any, Final

from scriptfleet.errors import EngineFailed

GROUP: Final = "scriptfleet.secrets"


class InstalledSecrets:
    """Asks the providers in the order of their names; each entry point names what is called once to get one."""

    def get(self, name: str, /) -> str | None:
        """Give the value of the first that has it, or None. Raises EngineFailed when one cannot be loaded."""
        for shown, provider in self._providers:
            value = provider.get(name)
            if value is not None:
                return _text(shown, name, value)
        return None

    def places(self, _name: str, /) -> Iterable[str]:
        """Give the providers."""
        return [f"the provider {shown}" for shown, _ in self._providers]

    @cached_property
    def _providers(self) -> list[tuple[str, Any]]:
        # Loading it takes longer than starting most scripts, and few jobs name a secret that is found nowhere else.
        from importlib.metadata import entry_points  # noqa: PLC0415

        found = sorted(entry_points(group=GROUP), key=lambda entry: entry.name)
        return [(f"{entry.name} ({entry.value})", _made(entry.name, entry.load)) for entry in found]


def _made(name: str, load: Callable[[], Any]) -> Any:
    try:
        provider = load()()
    except (ImportError, AttributeError, TypeError) as fault:
        raise EngineFailed(f"the secret provider {name} cannot be loaded ({fault}): repair or remove it") from fault
    if not callable(getattr(provider, "get", None)):
        raise EngineFailed(f"the secret provider {name} has no method get(name): repair or remove its package")
    return provider


def _text(shown: str, name: str, value: object) -> str:
    if not isinstance(value, str):
        raise EngineFailed(f"the provider {shown} gave {type(value).__name__} for secret {name}: it must give text")
    return value
