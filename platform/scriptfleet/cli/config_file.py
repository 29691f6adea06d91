"""The configuration file of ``run``: YAML, whose every key is known and checked. Imported only when there is one."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from scriptfleet.cli.amounts import LEAST_INTERVAL_SECONDS, MOST_INTERVAL_SECONDS
from scriptfleet.cli.tool_log import LEVELS
from scriptfleet.domain import check
from scriptfleet.domain.interpolation import interpolate
from scriptfleet.domain.retry import RetryStrategy
from scriptfleet.errors import InvalidValue

#: Largest file that is read, bytes.
_LARGEST: Final = 1024 * 1024
_DAYS: Final = 36_500

#: Known, and left to a version that acts on them.
_NOT_YET: Final = ("alerts", "performance_gates", "notifications")


@dataclass(frozen=True, slots=True)
class FileWishes:
    """What the file says; None where it says nothing."""

    #: Fields of a retry policy, by the policy's own names.
    retry: dict[str, Any] = field(default_factory=dict)
    history_path: Path | None = None
    history_url: str | None = None
    auto_cleanup: bool = False
    retention_days: int | None = None
    #: Seconds.
    sampling_interval: float | None = None
    log_level: str | None = None


def read(path: Path, variables: Mapping[str, str]) -> FileWishes:
    """Read the file; ``${NAME}`` in it stands for a variable, ``$${`` for a plain ``${``.

    Raises InvalidValue, naming file and key, for what cannot be read, is not known or has a bad value.
    """
    sections = _mapping(f"{path}", _parsed(path))
    for name in sections:
        if name in _NOT_YET:
            what = f"no such section: this version does not act on {', '.join(_NOT_YET)} yet"
            raise InvalidValue(f"{path}: {name}", "given", what)
    _known(f"{path}", sections, _SECTIONS)
    found = {name: _section(path, name, sections[name], variables) for name in sections}
    database, monitoring = found.get("database", {}), found.get("monitoring", {})
    if len({"path", "url"} & database.keys()) > 1:
        raise InvalidValue(f"{path}: database", "path and url", "one of them")
    if database.get("auto_cleanup") and "retention_days" not in database:
        raise InvalidValue(f"{path}: database.auto_cleanup", "true", "retention_days beside it")
    return FileWishes(
        retry=found.get("retry", {}),
        history_path=database.get("path"),
        history_url=database.get("url"),
        auto_cleanup=database.get("auto_cleanup", False),
        retention_days=database.get("retention_days"),
        sampling_interval=monitoring.get("sampling_interval"),
        log_level=monitoring.get("log_level"),
    )


def _parsed(path: Path) -> object:
    try:
        with path.open("rb") as source:
            content = source.read(_LARGEST + 1)
    except OSError as fault:
        raise InvalidValue("--config", str(path), f"a file that can be read ({fault.strerror or fault})") from fault
    if len(content) > _LARGEST:
        raise InvalidValue("--config", str(path), f"a file of at most {_LARGEST:,} bytes")
    try:
        return yaml.safe_load(content)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as fault:
        where = " ".join(str(fault).split())
        raise InvalidValue("--config", str(path), f"a YAML file ({where})") from fault


def _section(path: Path, section: str, said: object, variables: Mapping[str, str]) -> dict[str, Any]:
    where = f"{path}: {section}"
    known = _SECTIONS[section]
    given = _mapping(where, said)
    _known(where, given, known)
    return {name: known[name](f"{where}.{name}", _filled(f"{where}.{name}", given[name], variables)) for name in given}


def _mapping(where: str, said: object) -> dict[str, Any]:
    if said is None:
        return {}
    return check.mapping(where, said)


def _known(where: str, given: Mapping[str, Any], known: Mapping[str, object]) -> None:
    for name in given:
        if name not in known:
            raise InvalidValue(where, name, f"one of {', '.join(known)}")


def _filled(where: str, value: object, variables: Mapping[str, str]) -> object:
    if not isinstance(value, str) or "${" not in value:
        return value
    try:
        return interpolate({"": value}, variables, {})[""]
    except InvalidValue as fault:
        raise InvalidValue(where, value, "${NAME} with the name of a variable that is set here") from fault


def _number(where: str, value: object) -> float:
    # A variable is always text.
    try:
        found = float(value) if isinstance(value, str) else value
    except ValueError:
        found = value
    return check.number(where, found)


def _interval(where: str, value: object) -> float:
    return check.number(where, _number(where, value), LEAST_INTERVAL_SECONDS, MOST_INTERVAL_SECONDS)


def _whole(where: str, value: object, least: int, most: int) -> int:
    found = _number(where, value)
    return check.integer(where, int(found) if found.is_integer() else found, least, most)


def _attempts(where: str, value: object) -> int:
    return _whole(where, value, 1, 1000)


def _multiplier(where: str, value: object) -> float:
    return check.number(where, _number(where, value), least=1.0)


def _days(where: str, value: object) -> int:
    return _whole(where, value, 1, _DAYS)


def _flag(where: str, value: object) -> bool:
    found = {"true": True, "false": False}.get(value.lower(), value) if isinstance(value, str) else value
    if not isinstance(found, bool):
        raise InvalidValue(where, value, "true or false")
    return found


def _off(where: str, value: object) -> bool:
    if _flag(where, value):
        raise InvalidValue(where, "true", "false: this version has no profiler")
    return False


def _path(where: str, value: object) -> Path:
    return Path(check.text(where, value)).expanduser()


def _one_of(*allowed: str) -> Callable[[str, object], str]:
    def accept(where: str, value: object) -> str:
        found = check.text(where, value)
        if found not in allowed:
            raise InvalidValue(where, value, f"one of {', '.join(allowed)}")
        return found

    return accept


#: Every section that is acted on, its keys, and what accepts their values.
_SECTIONS: Final[dict[str, dict[str, Callable[[str, object], Any]]]] = {
    "retry": {
        "strategy": _one_of(*map(str, RetryStrategy)),
        "max_attempts": _attempts,
        "initial_delay": _number,
        "max_delay": _number,
        "multiplier": _multiplier,
        "oom_memory_factor": _number,
        "oom_memory_max_mb": _number,
    },
    "database": {"path": _path, "url": check.text, "auto_cleanup": _flag, "retention_days": _days},
    "monitoring": {"sampling_interval": _interval, "enable_profiling": _off, "log_level": _one_of(*LEVELS)},
}
