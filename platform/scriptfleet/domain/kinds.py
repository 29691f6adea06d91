"""Kinds of job and what each needs in its config. A kind is run by the executor of the same name."""

import re
from collections.abc import Callable, Mapping, Set
from typing import Any, Self

from scriptfleet.domain import check
from scriptfleet.domain.digest import sha256_of
from scriptfleet.domain.value import value
from scriptfleet.errors import InvalidValue

PYTHON_SCRIPT, SHELL, PYTHON_FUNCTION = "python_script", "shell", "python_function"
HTTP_REQUEST, FILE_OPERATION = "http_request", "file_operation"
PYTHON_KINDS = (PYTHON_SCRIPT, PYTHON_FUNCTION)
SHELLS = ("sh", "bash", "zsh", "fish")

_SHA256_DIGITS, _HEXADECIMAL = 64, frozenset("0123456789abcdef")
_DOTTED = r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*"


@value(frozen=True, slots=True)
class Source:
    """The bytes that travel with a job: one file, or a folder packed as a bundle."""

    #: Of the bytes as they are, before compression; their name in the blob store.
    sha256: str
    size_bytes: int
    #: ``file`` or ``bundle``.
    form: str

    def __post_init__(self) -> None:
        if not _is_sha256(self.sha256):
            raise InvalidValue("source.sha256", self.sha256, "64 hexadecimal digits")
        check.integer("source.size_bytes", self.size_bytes, 0, 1 << 40)
        if self.form not in {"file", "bundle"}:
            raise InvalidValue("source.form", self.form, "file or bundle")

    @classmethod
    def of(cls, content: bytes, form: str) -> Self:
        """Name these bytes."""
        return cls(sha256_of(content), len(content), form)

    def to_dict(self) -> dict[str, Any]:
        """Give plain JSON data."""
        return {"sha256": self.sha256, "size_bytes": self.size_bytes, "form": self.form}

    @classmethod
    def from_dict(cls, data: object) -> Self:
        """Read what to_dict wrote."""
        given = check.mapping("source", data)
        if given.keys() != {"sha256", "size_bytes", "form"}:
            raise InvalidValue("source", sorted(given), "sha256, size_bytes and form")
        return cls(**given)


def _is_sha256(said: object) -> bool:
    return isinstance(said, str) and len(said) == _SHA256_DIGITS and _HEXADECIMAL.issuperset(said)


def check_config(kind: str, config: Mapping[str, Any], source: Source | None) -> None:
    """Refuse an unknown kind, a config that does not fit it, or bytes that are missing."""
    if kind not in _CHECKS:
        for find in _FINDERS:
            find()
    if kind not in _CHECKS:
        raise InvalidValue("kind", kind, f"one of {', '.join(sorted(_CHECKS))}")
    found = check.mapping("config", config)
    allowed, verify = _CHECKS[kind]
    for name in found.keys() - allowed if allowed is not None else ():
        raise InvalidValue(f"config of {kind}", name, f"one of {', '.join(sorted(allowed or ()))}")
    verify(found, source)


def register_kind(kind: str, allowed: Set[str] | None = None, verify: Callable[..., None] | None = None) -> None:
    """Let jobs of one more kind through.

    ``allowed`` are the names its config may have, None meaning any; ``verify(config, source)`` raises InvalidValue for
    a config that cannot be. Raises InvalidValue for a name that cannot be one, or that is built in.
    """
    if not re.fullmatch(_KIND, kind) or kind in _BUILT_IN:
        raise InvalidValue("kind", kind, "lower-case letters, digits and '_', not the name of a built-in kind")
    _CHECKS[kind] = (None if allowed is None else frozenset(allowed), verify or _anything)


def is_known(kind: str) -> bool:
    """Tell whether jobs of this kind are let through."""
    return kind in _CHECKS


def add_finder(find: Callable[[], None]) -> None:
    """Have ``find`` called, to register what it knows of, before a kind is refused as unknown."""
    if find not in _FINDERS:
        _FINDERS.append(find)


def unused_fields(kind: str) -> tuple[str, ...]:
    """Give the fields of a spec that mean nothing to this kind; a spec that sets one is refused."""
    return _UNUSED.get(kind, ())


def shown_target(kind: str, config: Mapping[str, Any]) -> str | None:
    """Give what a config is about in one line, for the kinds whose arguments do not tell; secrets are not in it."""
    if "command" in config:
        return str(config["command"])
    if kind == HTTP_REQUEST:
        from scriptfleet.domain import http_request  # noqa: PLC0415

        return f"{config.get('method', 'GET')} {http_request.without_query(str(config['url']))}"
    if kind == FILE_OPERATION:
        return " ".join(str(config[name]) for name in ("operation", "source", "destination") if name in config)
    return None


def _anything(config: dict[str, Any], source: Source | None) -> None:
    """Accept: the worker that has the executor checks the config."""


def _python_script(config: dict[str, Any], source: Source | None) -> None:
    _entry(config, source)
    if config.get("uv") not in (None, True, False):
        raise InvalidValue("config.uv", config["uv"], "true or false")


def _http_request(config: dict[str, Any], source: Source | None) -> None:
    # Most jobs are scripts.
    from scriptfleet.domain import http_request  # noqa: PLC0415

    _no_source(source)
    http_request.check_request(config)


def _file_operation(config: dict[str, Any], source: Source | None) -> None:
    # Most jobs are scripts.
    from scriptfleet.domain import file_operation  # noqa: PLC0415

    _no_source(source)
    file_operation.check_operation(config)


def _no_source(source: Source | None) -> None:
    if source is not None:
        raise InvalidValue("source", source.sha256, "none: this kind takes no script")


def _shell(config: dict[str, Any], source: Source | None) -> None:
    if "entry" in config:
        _entry(config, source)
    else:
        check.text("command", config.get("command"), longest=131_071)
    if config.get("shell", "sh") not in SHELLS:
        raise InvalidValue("shell", config["shell"], f"one of {', '.join(SHELLS)}")


def _entry(config: dict[str, Any], source: Source | None) -> None:
    entry = check.text("config.entry", config.get("entry"))
    if entry.startswith("/") or ".." in entry.split("/"):
        raise InvalidValue("config.entry", entry, "a path inside the bundle")
    if source is None:
        raise InvalidValue("source", source, "the script's bytes")


def _python_function(config: dict[str, Any], source: Source | None) -> None:
    for name in ("module", "function"):
        value = check.text(f"config.{name}", config.get(name), 255)
        if not re.fullmatch(_DOTTED, value):
            raise InvalidValue(f"config.{name}", value, "a dotted Python name")
    if not isinstance(config.get("args", []), list):
        raise InvalidValue("config.args", config["args"], "a list")
    check.mapping("config.kwargs", config.get("kwargs", {}))


_Check = Callable[[dict[str, Any], Source | None], None]

_KIND = r"[a-z][a-z0-9_]{0,63}"
#: The names a kind's config may have (None: any), and what is checked beyond.
_CHECKS: dict[str, tuple[frozenset[str] | None, _Check]] = {
    PYTHON_SCRIPT: (frozenset({"entry", "uv"}), _python_script),
    SHELL: (frozenset({"command", "entry", "shell"}), _shell),
    PYTHON_FUNCTION: (frozenset({"module", "function", "args", "kwargs"}), _python_function),
    HTTP_REQUEST: (frozenset({"method", "url", "headers", "body", "auth", "timeout_seconds", "expect"}), _http_request),
    FILE_OPERATION: (frozenset({"operation", "source", "destination", "options"}), _file_operation),
}
_BUILT_IN = frozenset(_CHECKS)
_FINDERS: list[Callable[[], None]] = []
_UNUSED: dict[str, tuple[str, ...]] = {
    SHELL: ("interpreter", "preload"),
    PYTHON_FUNCTION: ("args",),
    HTTP_REQUEST: ("args", "interpreter", "preload"),
    FILE_OPERATION: ("args", "interpreter", "preload"),
}
