"""The port of secret providers, and the chain from which a run's secrets are fetched, by name, when it starts.

Values go from the provider into the environment of the one run that named them, and nowhere else.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Protocol

from scriptfleet.config import SECRET, Settings
from scriptfleet.errors import EngineFailed
from scriptfleet.execution.secret_sources.environment import EnvironmentSecrets
from scriptfleet.execution.secret_sources.installed import InstalledSecrets

#: The kernel takes no longer value of one variable, its name included.
_LONGEST_BYTES: Final = 131_000


class SecretProvider(Protocol):
    """Knows secrets by name. What an entry point of the group ``scriptfleet.secrets`` gives when it is called."""

    def get(self, name: str, /) -> str | None:
        """Give the value, or None when it is not there. Raises EngineFailed when it cannot be told."""


class SecretSource(SecretProvider, Protocol):
    """A provider that can say where it looks."""

    def places(self, name: str, /) -> Iterable[str]:
        """Give where a secret of this name would be, for people to read."""


class SecretMissing(EngineFailed):
    """A job names a secret that this worker does not have."""

    def __init__(self, name: str, places: Sequence[str]) -> None:
        self.name, self.places = name, tuple(places)
        looked = f"looked for {', '.join(places)}" if places else "it has no place to look for secrets"
        super().__init__(f"secret {name} is not on this worker: {looked}: put it there, or run the job elsewhere")


class SecretChain:
    """Asks one source after the other; the first that has a secret gives it."""

    def __init__(self, *sources: SecretSource) -> None:
        self._sources = sources

    def fetch(self, names: Iterable[str]) -> dict[str, str]:
        """Give the secrets of these names as they are now.

        Raises SecretMissing for one that is nowhere, EngineFailed when a source cannot be asked or gives what no
        environment variable can hold.
        """
        return {name: self._fetch(name) for name in names}

    def _fetch(self, name: str) -> str:
        for source in self._sources:
            value = source.get(name)
            if value is not None:
                return _holdable(name, value)
        raise SecretMissing(name, [place for source in self._sources for place in source.places(name)])


def secrets_of(settings: Settings, own: Mapping[str, str] | None = None) -> SecretChain:
    """Give the chain that the settings describe; ``own`` are variables that stand for secrets by their own name."""
    sources: list[SecretSource] = [] if own is None else [EnvironmentSecrets(own)]
    sources.append(EnvironmentSecrets(settings.secrets or {}, SECRET))
    if settings.secrets_dir is not None:
        from scriptfleet.execution.secret_sources.folder import FolderSecrets  # noqa: PLC0415

        sources.append(FolderSecrets(settings.secrets_dir))
    if settings.secrets_command:
        from scriptfleet.execution.secret_sources.command import CommandSecrets  # noqa: PLC0415

        sources.append(CommandSecrets(settings.secrets_command))
    return SecretChain(*sources, InstalledSecrets())


def _holdable(name: str, value: str) -> str:
    if "\0" in value:
        raise EngineFailed(f"secret {name} holds a NUL byte: no environment variable can")
    if len(value.encode("utf-8", "surrogateescape")) > _LONGEST_BYTES:
        raise EngineFailed(
            f"secret {name} is longer than {_LONGEST_BYTES:,} bytes: no environment variable can hold it"
        )
    return value
