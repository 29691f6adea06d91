"""Every setting, once: its name in the environment, its default, its meaning. Read at the edge, then passed down."""

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from scriptfleet.errors import InvalidValue

#: Written by `scriptfleet up` into its home, so that other terminals find the fleet it runs.
FLEET_FILE = "fleet.json"

_BLOB_MAX_BYTES = 32 * 1024 * 1024
_RESULT_HOURS = 6.0
#: A day at work.
_SESSION_HOURS = 12.0
#: The year that auditors look back at, and time to look.
_AUDIT_DAYS, _MOST_DAYS = 400, 36_500
#: Some 1,000 series.
_METRICS_SCRIPTS, _MOST_METRICS_SCRIPTS = 100, 10_000
#: Between readings of a run on this machine unless said otherwise: dense enough for a curve of some seconds.
RUN_INTERVAL_SECONDS = 0.1
#: As those of jobs; see domain/check.py.
_LONGEST_LABEL, _LONGEST_LABEL_VALUE = 64, 256
#: A script's bytes stay as long.
_SIGNATURE_HOURS = 7 * 24.0
_DRAIN_SECONDS = 20.0
#: Longer than the 30 s after which Celery tries again, at the latest, to reach a broker that is back.
_DEAF_SECONDS = 60.0
#: Of a person at work on a script.
_WARM_IDLE_SECONDS = 600.0
_MOST_PORT = 65_535
#: What a secret for jobs begins with in a worker's environment; the setting beside it is none.
SECRET = "SCRIPTFLEET_SECRET_"  # noqa: S105
_SECRET_PREFIXES = "SCRIPTFLEET_SECRET_PREFIXES"  # noqa: S105
_FLAGS = {"": False, "0": False, "false": False, "no": False, "1": True, "true": True, "yes": True}
#: See execution/cgroups/find.py and docs/measurement.md.
MONITORS = ("auto", "cgroup2", "cgroup1", "rusage", "sampled")
#: User and password of an address, up to its last '@': an unquoted password may have any characters.
_LOGIN = r"(?s:((?>(?:[^:/]*:/+)?)[^:]*:)(.*)@)"
_SECRET_PARAMETER = r"(?i:([?&;\s][^=&?]*(?:password|passwd|passphrase|pwd|secret|token)[^=&?]*=)([^&]*))"  # noqa: S105
_REDIS_SCHEMES = ("redis", "rediss", "unix", "sentinel")


class NoFleet(InvalidValue):
    """No broker is named, and no fleet is up in this home."""

    def __init__(self, home: Path) -> None:
        super().__init__("SCRIPTFLEET_REDIS_URL", "", "the address of a broker")
        self.home = home
        way = "start one with `scriptfleet up`, or name a broker with --redis or SCRIPTFLEET_REDIS_URL"
        self.args = (f"no fleet is up in {home}: {way}",)


class Settings(NamedTuple):
    """What a process is told by its surroundings. Each field is SCRIPTFLEET_<NAME> in the environment."""

    #: Folder of all state on this machine: embedded data, the cache of scripts, folders of runs.
    home: Path
    #: redis://, rediss://, unix:// or sentinel:// address of the broker (see docs/broker.md); empty when none is set
    #: and no fleet is up.
    redis_url: str = ""
    #: A submit counts once so many replicas of the broker have it; 0 asks for none.
    wait_replicas: int = 0
    #: SQLAlchemy address of the database; empty means SQLite in ``home``.
    database_url: str = ""
    #: First part of every key in Redis; two fleets on one server have two.
    namespace: str = "scriptfleet"
    #: Signs and checks specs, orders and facts when set; the same on producers, workers and results services.
    signing_key: str = ""
    #: Hours after it is due within which a signed job may start; with no key it has no meaning.
    signature_hours: float = _SIGNATURE_HOURS
    #: On a fleet with a key, whether workers obey Celery's own remote control, which nobody can sign.
    allow_celery_control: bool = False
    #: Largest script or bundle that is accepted, in bytes before compression.
    blob_max_bytes: int = _BLOB_MAX_BYTES
    #: Hours that a finished job's record and the end of its output stay in the broker.
    result_hours: float = _RESULT_HOURS
    #: A token of REST and pages with every right, beside those of `scriptfleet token`; without any token the server
    #: serves loopback only.
    api_token: str = ""
    #: How long a login in a browser lasts.
    session_hours: float = _SESSION_HOURS
    #: Days that entries of the audit log are kept, or more where a policy's preset asks for it; 0 keeps them for ever.
    audit_days: int = _AUDIT_DAYS
    #: Folder of archives of the audit log's entries that go; None archives none.
    audit_archive: Path | None = None
    #: Addresses and networks of proxies whose X-Forwarded-For and X-Forwarded-Proto are believed.
    trusted_proxies: tuple[str, ...] = ()
    #: Whether /metrics is given to everybody.
    open_metrics: bool = False
    #: Scripts that have numbers of their own on /metrics, first come; all others count as one. 0 gives none by script.
    metrics_scripts: int = _METRICS_SCRIPTS
    #: What a worker's Python jobs find imported; () is an interpreter that is merely running; None means cold starts.
    warm_preload: tuple[str, ...] | None = None
    #: Seconds after which an interpreter ends that `scriptfleet run --warm` has left for later runs and none has used.
    warm_idle_seconds: float = _WARM_IDLE_SECONDS
    #: A worker takes no new job while its host's CPU or memory is above this, percent; None means it always does.
    max_cpu_percent: float | None = None
    max_memory_percent: float | None = None
    #: What a worker offers to jobs that ask for it, such as gpu=a100; on a list in the environment.
    worker_labels: Mapping[str, str] | None = None
    #: Seconds that what runs may go on once a worker is told to stop; then it is ended, and its jobs are put back. Less
    #: than the 30 s that Kubernetes gives by itself, with room for a script's own end.
    drain_seconds: float = _DRAIN_SECONDS
    #: A worker that has room and yet reads no message for so many seconds, while the broker answers it, ends itself.
    deaf_seconds: float = _DEAF_SECONDS
    #: Where a worker serves /livez, /readyz and /metrics; without a port it does not.
    worker_health_port: int | None = None
    worker_health_host: str = "127.0.0.1"
    #: Secrets for jobs: a job that names X gets the content of SCRIPTFLEET_SECRET_X of the worker's environment.
    secrets: Mapping[str, str] | None = None
    #: Folder of secrets for jobs, one file each, named like the secret; such as a mounted one.
    secrets_dir: Path | None = None
    #: Program and first arguments; run with a secret's name as one more, it prints the value or ends with another code.
    secrets_command: tuple[str, ...] = ()
    #: Beginnings of variables' names, in capitals, that mark a secret beside the usual ones (SECRET_, TOKEN_, …).
    secret_prefixes: tuple[str, ...] = ()
    #: Where HTTP jobs may go: comma list of host patterns, networks and ``public``; empty means public addresses alone.
    http_allow: str = ""
    #: Folders that file operations may touch beside their run's own.
    file_roots: tuple[Path, ...] = ()
    #: How runs are accounted: ``auto`` is the best that works here; one that does not work ends the process.
    monitor: str = "auto"
    #: Whether scripts may have LD_PRELOAD and its kind.
    allow_loader_env: bool = False

    def store_url(self) -> str:
        """Give the database's address, with the default filled in."""
        return self.database_url or f"sqlite:///{self.home / 'scriptfleet.db'}"

    def broker_url(self) -> str:
        """Give the broker's address or say that there is none."""
        if not self.redis_url:
            raise NoFleet(self.home)
        return self.redis_url

    def with_urls(self, redis_url: str | None = None, database_url: str | None = None) -> "Settings":
        """Give these settings with what the command line said on top."""
        changed = self._replace(redis_url=redis_url or self.redis_url, database_url=database_url or self.database_url)
        _check(changed, "--redis" if redis_url else "SCRIPTFLEET_REDIS_URL")
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
        wait_replicas=_whole(given, "SCRIPTFLEET_WAIT_REPLICAS", 0, 16),
        namespace=given.get("SCRIPTFLEET_NAMESPACE") or "scriptfleet",
        signing_key=given.get("SCRIPTFLEET_SIGNING_KEY", ""),
        signature_hours=_number(given, "SCRIPTFLEET_SIGNATURE_HOURS", _SIGNATURE_HOURS, 24 * 365),
        allow_celery_control=_flag(given, "SCRIPTFLEET_ALLOW_CELERY_CONTROL"),
        blob_max_bytes=int(_number(given, "SCRIPTFLEET_BLOB_MAX_BYTES", _BLOB_MAX_BYTES, 1 << 29)),
        result_hours=_number(given, "SCRIPTFLEET_RESULT_HOURS", _RESULT_HOURS, 24 * 365),
        api_token=given.get("SCRIPTFLEET_API_TOKEN", ""),
        session_hours=_number(given, "SCRIPTFLEET_SESSION_HOURS", _SESSION_HOURS, 24 * 90),
        audit_days=_whole(given, "SCRIPTFLEET_AUDIT_DAYS", _AUDIT_DAYS, _MOST_DAYS),
        audit_archive=_folder(given.get("SCRIPTFLEET_AUDIT_ARCHIVE")),
        trusted_proxies=_parts(given.get("SCRIPTFLEET_TRUSTED_PROXIES", "")),
        open_metrics=_flag(given, "SCRIPTFLEET_OPEN_METRICS"),
        metrics_scripts=_whole(given, "SCRIPTFLEET_METRICS_SCRIPTS", _METRICS_SCRIPTS, _MOST_METRICS_SCRIPTS),
        secrets=_secrets(given),
        secrets_dir=_folder(given.get("SCRIPTFLEET_SECRETS_DIR")),
        secrets_command=_words(given, "SCRIPTFLEET_SECRETS_COMMAND"),
        secret_prefixes=_list(given.get(_SECRET_PREFIXES)),
        http_allow=given.get("SCRIPTFLEET_HTTP_ALLOW", ""),
        file_roots=_folders(given, "SCRIPTFLEET_FILE_ROOTS"),
        monitor=given.get("SCRIPTFLEET_MONITOR") or "auto",
        allow_loader_env=_flag(given, "SCRIPTFLEET_ALLOW_LOADER_ENV"),
        warm_idle_seconds=_number(given, "SCRIPTFLEET_WARM_IDLE_SECONDS", _WARM_IDLE_SECONDS, 7 * 86_400),
        warm_preload=_modules(given.get("SCRIPTFLEET_WARM_PRELOAD")),
        max_cpu_percent=_percent(given, "SCRIPTFLEET_MAX_CPU_PERCENT"),
        max_memory_percent=_percent(given, "SCRIPTFLEET_MAX_MEMORY_PERCENT"),
        deaf_seconds=_number(given, "SCRIPTFLEET_DEAF_SECONDS", _DEAF_SECONDS, 86_400),
        worker_health_port=_port(given, "SCRIPTFLEET_WORKER_HEALTH_PORT"),
        worker_health_host=given.get("SCRIPTFLEET_WORKER_HEALTH_HOST") or "127.0.0.1",
        worker_labels=_labels(given, "SCRIPTFLEET_WORKER_LABELS"),
        drain_seconds=_number(given, "SCRIPTFLEET_DRAIN_SECONDS", _DRAIN_SECONDS, 31 * 86_400),
    )
    _check(settings)
    return settings


def read_fleet_file(home: Path) -> dict[str, str]:
    """Give what a fleet that is up in ``home`` wrote about itself; empty when none is up."""
    try:
        written = (home / FLEET_FILE).read_text()
    except (OSError, ValueError):
        return {}
    # Loaded where a fleet is up.
    import json  # noqa: PLC0415

    try:
        found = json.loads(written)
    except ValueError:
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
    """Give an address as it may be shown and logged; where it cannot be told what is a password, less is shown."""
    login = re.match(_LOGIN, url)
    if login and any("@" in found[2] for found in re.finditer(_SECRET_PARAMETER, url)):
        return f"{login[1]}***"
    shown = f"{login[1]}***{url[login.end() - 1 :]}" if login else url
    return re.sub(_SECRET_PARAMETER, r"\1***", shown)


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


def _whole(given: Mapping[str, str], name: str, default: int, most: int) -> int:
    said = given.get(name)
    if not said:
        return default
    if not said.isascii() or not said.isdigit() or int(said) > most:
        raise InvalidValue(name, said, f"a whole number from 0 to {most}")
    return int(said)


def _port(given: Mapping[str, str], name: str) -> int | None:
    return _whole(given, name, 0, _MOST_PORT) if given.get(name) else None


def _modules(said: str | None) -> tuple[str, ...] | None:
    if said is None:
        return None
    modules = tuple(part.strip() for part in said.split(",") if part.strip())
    for module in modules:
        if not all(part.isidentifier() for part in module.split(".")):
            raise InvalidValue("SCRIPTFLEET_WARM_PRELOAD", module, "names of Python modules, with commas between them")
    return modules


def _percent(given: Mapping[str, str], name: str) -> float | None:
    return _number(given, name, 100.0, 100.0) if given.get(name) else None


def _labels(given: Mapping[str, str], name: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in (part.strip() for part in given.get(name, "").split(",") if part.strip()):
        label, equals, value = part.partition("=")
        if not label or not equals or len(label) > _LONGEST_LABEL or len(value) > _LONGEST_LABEL_VALUE:
            expected = (
                f"NAME=VALUE, of up to {_LONGEST_LABEL} and {_LONGEST_LABEL_VALUE} characters, with commas between"
            )
            raise InvalidValue(name, part, expected)
        found[label] = value
    return found


def _secrets(given: Mapping[str, str]) -> dict[str, str]:
    found = {name: value for name, value in given.items() if name.startswith(SECRET) and name != _SECRET_PREFIXES}
    return {name.removeprefix(SECRET): value for name, value in found.items()}


def _folder(said: str | None) -> Path | None:
    return Path(said).expanduser().absolute() if said else None


def _folders(given: Mapping[str, str], name: str) -> tuple[Path, ...]:
    folders = [part for part in given.get(name, "").split(":") if part]
    for folder in folders:
        if not folder.startswith("/"):
            raise InvalidValue(name, folder, "absolute paths of folders with ':' between them")
    return tuple(Path(folder) for folder in folders)


def _words(given: Mapping[str, str], name: str) -> tuple[str, ...]:
    said = given.get(name, "")
    if not said:
        return ()
    # Few settings say one.
    import shlex  # noqa: PLC0415

    try:
        return tuple(shlex.split(said))
    except ValueError as fault:
        raise InvalidValue(name, said, f"a command line ({fault})") from fault


def _list(said: str | None) -> tuple[str, ...]:
    return tuple(part.upper() for part in _parts(said or ""))


def _parts(said: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in said.split(",") if part.strip())


def _flag(given: Mapping[str, str], name: str) -> bool:
    said = given.get(name, "").lower()
    if said not in _FLAGS:
        raise InvalidValue(name, said, "1 or 0")
    return _FLAGS[said]


def _check(settings: Settings, redis_name: str = "SCRIPTFLEET_REDIS_URL") -> None:
    if settings.redis_url and _scheme(settings.redis_url) not in _REDIS_SCHEMES:
        shown = without_password(settings.redis_url)
        raise InvalidValue(redis_name, shown, "redis://HOST:PORT/DB, rediss://…, unix:///PATH or sentinel://…")
    if settings.monitor not in MONITORS:
        raise InvalidValue("SCRIPTFLEET_MONITOR", settings.monitor, f"one of {', '.join(MONITORS)}")
    if not settings.namespace.replace("-", "").replace("_", "").isalnum():
        raise InvalidValue("SCRIPTFLEET_NAMESPACE", settings.namespace, "letters, digits, '-' and '_'")


def _scheme(url: str) -> str:
    # A run on this machine has no broker.
    from urllib.parse import urlsplit  # noqa: PLC0415

    try:
        return urlsplit(url).scheme
    except ValueError:
        # Such as a '[' that is not closed.
        return ""


def python_executable() -> str:
    """Give the interpreter that this process runs on, for processes of our own."""
    return sys.executable


def own_environment() -> dict[str, str]:
    """Give this process's whole environment, for a script of the same person on the same machine."""
    return dict(os.environ)
