"""Kinds of job and what each needs in its config. A kind is run by the executor of the same name."""

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from scriptfleet.domain import check
from scriptfleet.errors import InvalidValue

PYTHON_SCRIPT, SHELL, PYTHON_FUNCTION = "python_script", "shell", "python_function"
PYTHON_KINDS = (PYTHON_SCRIPT, PYTHON_FUNCTION)
SHELLS = ("sh", "bash", "zsh", "fish")

_SHA256 = re.compile(r"[0-9a-f]{64}")
_DOTTED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


@dataclass(frozen=True, slots=True)
class Source:
    """The bytes that travel with a job: one file, or a folder packed as a bundle."""

    #: Of the bytes as they are, before compression; their name in the blob store.
    sha256: str
    size_bytes: int
    #: ``file`` or ``bundle``.
    form: str

    def __post_init__(self) -> None:
        if not isinstance(self.sha256, str) or not _SHA256.fullmatch(self.sha256):
            raise InvalidValue("source.sha256", self.sha256, "64 hexadecimal digits")
        check.integer("source.size_bytes", self.size_bytes, 0, 1 << 40)
        if self.form not in {"file", "bundle"}:
            raise InvalidValue("source.form", self.form, "file or bundle")

    @classmethod
    def of(cls, content: bytes, form: str) -> Self:
        """Name these bytes."""
        return cls(hashlib.sha256(content).hexdigest(), len(content), form)

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


def check_config(kind: str, config: Mapping[str, Any], source: Source | None) -> None:
    """Refuse an unknown kind, a config that does not fit it, or bytes that are missing."""
    if kind not in _CHECKS:
        raise InvalidValue("kind", kind, f"one of {', '.join(sorted(_CHECKS))}")
    found = check.mapping("config", config)
    allowed, verify = _CHECKS[kind]
    for name in found.keys() - allowed:
        raise InvalidValue(f"config of {kind}", name, f"one of {', '.join(sorted(allowed))}")
    verify(found, source)


def _python_script(config: dict[str, Any], source: Source | None) -> None:
    _entry(config, source)


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
        if not _DOTTED.fullmatch(value):
            raise InvalidValue(f"config.{name}", value, "a dotted Python name")
    if not isinstance(config.get("args", []), list):
        raise InvalidValue("config.args", config["args"], "a list")
    check.mapping("config.kwargs", config.get("kwargs", {}))


_Check = Callable[[dict[str, Any], Source | None], None]

_CHECKS: dict[str, tuple[frozenset[str], _Check]] = {
    PYTHON_SCRIPT: (frozenset({"entry"}), _python_script),
    SHELL: (frozenset({"command", "entry", "shell"}), _shell),
    PYTHON_FUNCTION: (frozenset({"module", "function", "args", "kwargs"}), _python_function),
}
