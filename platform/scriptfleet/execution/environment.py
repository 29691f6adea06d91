"""The environment of a script. On the fleet it starts clean: never the worker's own secrets, never loader variables."""

from collections.abc import Mapping
from typing import Final

from scriptfleet.domain.job import JobSpec
from scriptfleet.errors import EngineFailed

#: What a fleet's script inherits from its worker; all else of the worker's environment stays with the worker.
INHERITED: Final = frozenset(
    {
        "PATH",
        "HOME",
        "USER",
        "LOGNAME",
        "SHELL",
        "LANG",
        "LANGUAGE",
        "TZ",
        "TMPDIR",
        "TERM",
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
    }
)
_DEFAULT_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class SecretMissing(EngineFailed):
    """A job names a secret that this worker does not have."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"secret {name} is not on this worker: set SCRIPTFLEET_SECRET_{name} in its environment")


def is_loader_variable(name: str) -> bool:
    """Tell whether the dynamic loader, not the script, acts on this variable."""
    return name.startswith(("LD_", "DYLD_")) or name in {"GCONV_PATH", "GLIBC_TUNABLES"}


def clean(own: Mapping[str, str]) -> dict[str, str]:
    """Give the part of this process's environment that a fleet's script may have."""
    kept = {name: value for name, value in own.items() if name in INHERITED or name.startswith("LC_")}
    return {"PATH": _DEFAULT_PATH, **kept}


def whole(own: Mapping[str, str]) -> dict[str, str]:
    """Give this process's environment for a script of the same person on the same machine."""
    return {name: value for name, value in own.items() if not is_loader_variable(name)}


def for_run(
    base: Mapping[str, str], spec: JobSpec, secrets: Mapping[str, str], about: Mapping[str, str]
) -> dict[str, str]:
    """Put together the environment of one run. Raises SecretMissing.

    The job's own variables win over inherited ones, its secrets over those; what the run is told about itself wins
    over all. Loader variables of the job are dropped.
    """
    for name in spec.secrets:
        if name not in secrets:
            raise SecretMissing(name)
    own = {name: value for name, value in spec.env.items() if not is_loader_variable(name)}
    return {"PYTHONUNBUFFERED": "1", **base, **own, **{name: secrets[name] for name in spec.secrets}, **about}
