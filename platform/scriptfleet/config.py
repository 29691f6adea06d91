"""Every setting, once: its name in the environment, its default, its meaning. Read at the edge, then passed down."""

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from scriptfleet.errors import InvalidValue

#: Written by `scriptfleet up` into its home, so that other terminals find the fleet it runs.
FLEET_FILE = "fleet.json"

_BLOB_MAX_BYTES = 32 * 1024 * 1024
_RESULT_HOURS = 6.0
_REDIS_SCHEMES = ("redis", "rediss", "unix")


@dataclass(frozen=True, slots=True)
class Settings:
    """What a process is told by its surroundings. Each field is SCRIPTFLEET_<NAME> in the environment."""

    #: Folder of all state on this machine: embedded data, the cache of scripts, folders of runs.
    home: Path
    #: redis://, rediss:// or unix:// address of the broker; empty when none is set and no fleet is up.
    redis_url: str = ""
    #: SQLAlchemy address of the database; empty means SQLite in ``home``.
    database_url: str = ""
    #: First part of every key in Redis; two fleets on one server have two.
    namespace: str = "scriptfleet"
    #: Signs and checks specs when set; the same on producers and workers.
    signing_key: str = ""
    #: Largest script or bundle that is accepted, in bytes before compression.
    blob_max_bytes: int = _BLOB_MAX_BYTES
    #: Hours that a finished job's record and the end of its output stay in the broker.
    result_hours: float = _RESULT_HOURS
    #: Bearer token of REST and pages; without one the server serves loopback only.
    api_token: str = ""
    #: What a worker's Python jobs find imported; () is an interpreter that is merely running; None means cold starts.
    warm_preload: tuple[str, ...] | None = None
    #: Secrets for jobs: a job that names X gets the content of SCRIPTFLEET_SECRET_X of the worker's environment.
    secrets: Mapping[str, str] | None = None

    def store_url(self) -> str:
        """Give the database's address, with the default filled in."""
        return self.database_url or f"sqlite:///{self.home / 'scriptfleet.db'}"

    def broker_url(self) -> str:
        """Give the broker's address or say that there is none."""
        if not self.redis_url:
            raise InvalidValue(
                "SCRIPTFLEET_REDIS_URL", "", "the address of a Redis (or start a fleet here with `scriptfleet up`)"
            )
        return self.redis_url

    def with_urls(self, redis_url: str | None = None, database_url: str | None = None) -> "Settings":
        """Give these settings with what the command line said on top."""
        changed = replace(self, redis_url=redis_url or self.redis_url, database_url=database_url or self.database_url)
        _check(changed)
        return changed


def load_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Read the settings from the environment and, for what it leaves open, from the fleet that is up in ``home``.

    Raises InvalidValue, naming the variable, for a value that cannot be.
    """
    given = os.environ if environ is None else environ
    home = Path(given.get("SCRIPTFLEET_HOME") or _default_home(given)).expanduser().absolute()
    fleet = read_fleet_file(home)
    settings = Settings(
        home=home,
        redis_url=given.get("SCRIPTFLEET_REDIS_URL") or fleet.get("redis_url", ""),
        database_url=given.get("SCRIPTFLEET_DATABASE_URL") or fleet.get("database_url", ""),
        namespace=given.get("SCRIPTFLEET_NAMESPACE") or "scriptfleet",
        signing_key=given.get("SCRIPTFLEET_SIGNING_KEY", ""),
        blob_max_bytes=int(_number(given, "SCRIPTFLEET_BLOB_MAX_BYTES", _BLOB_MAX_BYTES, 1 << 29)),
        result_hours=_number(given, "SCRIPTFLEET_RESULT_HOURS", _RESULT_HOURS, 24 * 365),
        api_token=given.get("SCRIPTFLEET_API_TOKEN", ""),
        secrets=_secrets(given),
        warm_preload=_modules(given.get("SCRIPTFLEET_WARM_PRELOAD")),
    )
    _check(settings)
    return settings


def read_fleet_file(home: Path) -> dict[str, str]:
    """Give what a fleet that is up in ``home`` wrote about itself; empty when none is up."""
    try:
        found = json.loads((home / FLEET_FILE).read_text())
    except (OSError, ValueError):
        return {}
    return {name: str(value) for name, value in found.items()} if isinstance(found, dict) else {}


def environment_of(settings: Settings) -> dict[str, str]:
    """Give the environment for a child process that is to have these settings."""
    own = {
        "SCRIPTFLEET_HOME": str(settings.home),
        "SCRIPTFLEET_REDIS_URL": settings.redis_url,
        "SCRIPTFLEET_DATABASE_URL": settings.store_url(),
        "SCRIPTFLEET_NAMESPACE": settings.namespace,
    }
    return {**os.environ, **own}


def without_password(url: str) -> str:
    """Give an address as it may be shown and logged."""
    parts = urlsplit(url)
    if not parts.password:
        return url
    return urlunsplit(parts._replace(netloc=parts.netloc.replace(f":{parts.password}@", ":***@")))


def _default_home(given: Mapping[str, str]) -> str:
    base = given.get("XDG_STATE_HOME") or "~/.local/state"
    return f"{base}/scriptfleet"


def _number(given: Mapping[str, str], name: str, default: float, most: float) -> float:
    said = given.get(name)
    if not said:
        return default
    try:
        value = float(said)
    except ValueError:
        value = -1.0
    if not 0 < value <= most:
        raise InvalidValue(name, said, f"a number above 0, at most {most:,}")
    return value


def _modules(said: str | None) -> tuple[str, ...] | None:
    if said is None:
        return None
    modules = tuple(part.strip() for part in said.split(",") if part.strip())
    for module in modules:
        if not all(part.isidentifier() for part in module.split(".")):
            raise InvalidValue("SCRIPTFLEET_WARM_PRELOAD", module, "names of Python modules, with commas between them")
    return modules


def _secrets(given: Mapping[str, str]) -> dict[str, str]:
    prefix = "SCRIPTFLEET_SECRET_"
    return {name.removeprefix(prefix): value for name, value in given.items() if name.startswith(prefix)}


def _check(settings: Settings) -> None:
    scheme = urlsplit(settings.redis_url).scheme
    if settings.redis_url and scheme not in _REDIS_SCHEMES:
        shown = without_password(settings.redis_url)
        raise InvalidValue("SCRIPTFLEET_REDIS_URL", shown, "redis://HOST:PORT/DB, rediss://… or unix:///PATH")
    if not settings.namespace.replace("-", "").replace("_", "").isalnum():
        raise InvalidValue("SCRIPTFLEET_NAMESPACE", settings.namespace, "letters, digits, '-' and '_'")


def python_executable() -> str:
    """Give the interpreter that this process runs on, for processes of our own."""
    return sys.executable


def own_environment() -> dict[str, str]:
    """Give this process's whole environment, for a script of the same person on the same machine."""
    return dict(os.environ)
