"""A definition's file: YAML or JSON, whose every key is known and checked. Imported only when there is one."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml

from scriptfleet.domain import check
from scriptfleet.domain.parameter import Parameter, of_file
from scriptfleet.errors import InvalidValue
from scriptfleet.queues import drafts
from scriptfleet.queues.drafts import Draft

SUFFIXES: Final = (".yaml", ".yml", ".json")
#: Largest file that is read, bytes.
_LARGEST: Final = 1024 * 1024

#: What a definition leaves to each submit.
_OF_ONE_JOB: Final = frozenset({"idempotency_key", "not_before", "expires", "submitted_by", "schedule"})


class Read(NamedTuple):
    """What a file says."""

    draft: Draft
    parameters: tuple[Parameter, ...]
    description: str


def read(path: Path, limit_bytes: int) -> Read:
    """Read a definition's file; paths in it are seen from its folder.

    Raises InvalidValue, naming the key, for what cannot be read, is not known or has a bad value; BlobTooLarge.
    """
    said = check.mapping(str(path), _parsed(path))
    description = check.text("description", said.pop("description", ""), 2000, may_be_empty=True)
    parameters = of_file(said.pop("parameters", None))
    return Read(_draft(said, path.parent, limit_bytes), parameters, description)


def _parsed(path: Path) -> object:
    try:
        with path.open("rb") as opened:
            content = opened.read(_LARGEST + 1)
    except OSError as fault:
        raise InvalidValue("definition", str(path), f"a file that can be read ({fault.strerror or fault})") from fault
    if len(content) > _LARGEST:
        raise InvalidValue("definition", str(path), f"a file of at most {_LARGEST:,} bytes")
    try:
        # JSON is YAML, but for tabs, which no tool of ours writes.
        return yaml.load(content, Loader=_Loader)  # noqa: S506 - a safe loader, which keeps dates as text
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as fault:
        where = " ".join(str(fault).split())
        raise InvalidValue("definition", str(path), f"a YAML or JSON file ({where})") from fault


class _Loader(yaml.SafeLoader):
    """Takes what looks like a date for text: parameters, arguments and labels are texts."""


_Loader.yaml_implicit_resolvers = {
    first: [one for one in resolvers if one[0] != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _draft(said: dict[str, Any], folder: Path, limit_bytes: int) -> Draft:
    given = [name for name in _SOURCES if name in said]
    if len(given) != 1:
        raise InvalidValue("definition", " ".join(given) or "nothing to run", f"one of {', '.join(_SOURCES)}")
    make, extra = _SOURCES[given[0]]
    source, more = said.pop(given[0]), {name: said.pop(name) for name in extra if name in said}
    for name in said:
        if name in _OF_ONE_JOB or name not in drafts.Options.__annotations__:
            known = sorted((drafts.Options.__annotations__.keys() - _OF_ONE_JOB) | set(extra))
            raise InvalidValue("definition", name, f"description, parameters, or one of {', '.join(known)}")
    return make(source, more, folder, limit_bytes, said)


_More = dict[str, Any]


def _script(source: object, more: _More, folder: Path, limit_bytes: int, options: _More) -> Draft:
    path = folder / check.text("script", source)
    return drafts.of_script(path, _words(more), limit_bytes, more.get("entry"), more.get("uv"), **options)


def _code(source: object, more: _More, _folder: Path, limit_bytes: int, options: _More) -> Draft:
    return drafts.of_code(check.text("code", source, limit_bytes), _words(more), limit_bytes, more.get("uv"), **options)


def _shell(source: object, more: _More, _folder: Path, _limit_bytes: int, options: _More) -> Draft:
    return drafts.of_command(check.text("shell", source, 131_071), more.get("shell_name", "sh"), **options)


def _http(source: object, _more: _More, _folder: Path, _limit_bytes: int, options: _More) -> Draft:
    said = _known("http", source, ("url", "method", "headers", "body", "auth", "request_timeout", "expect"))
    return drafts.of_http(check.text("http.url", said.pop("url", None), 8192), **said, **options)


def _function(source: object, more: _More, folder: Path, limit_bytes: int, options: _More) -> Draft:
    arguments, kwargs = more.get("args", []), check.mapping("kwargs", more.get("kwargs", {}))
    if not isinstance(arguments, list):
        raise InvalidValue("args", arguments, "a list")
    place = folder / check.text("folder", more["folder"]) if "folder" in more else None
    return drafts.of_function(check.text("function", source), arguments, kwargs, limit_bytes, place, **options)


def _file_operation(source: object, _more: _More, _folder: Path, _limit_bytes: int, options: _More) -> Draft:
    said = _known("file_operation", source, ("operation", "source", "destination", "settings"))
    return drafts.of_file_operation(said.pop("operation", ""), **said, **options)


def _kind(source: object, more: _More, _folder: Path, _limit_bytes: int, options: _More) -> Draft:
    config = check.mapping("config", more.get("config", {}))
    return drafts.of_kind(check.text("kind", source, 64), config, _words(more), **options)


def _words(more: Mapping[str, Any]) -> list[str]:
    # A number in YAML is meant as the word that it is written as.
    given = more.get("args", [])
    plain = [str(word) if type(word) in (int, float) else word for word in given] if isinstance(given, list) else given
    return list(check.strings("args", plain))


def _known(where: str, data: object, names: tuple[str, ...]) -> dict[str, Any]:
    said = check.mapping(where, data)
    for name in said:
        if name not in names:
            raise InvalidValue(where, name, f"one of {', '.join(names)}")
    return said


_Make = Callable[[object, _More, Path, int, _More], Draft]

#: What is run: what makes the draft, and the keys that belong to it.
_SOURCES: Final[dict[str, tuple[_Make, tuple[str, ...]]]] = {
    "script": (_script, ("args", "entry", "uv")),
    "code": (_code, ("args", "uv")),
    "shell": (_shell, ("shell_name",)),
    "http": (_http, ()),
    "function": (_function, ("args", "kwargs", "folder")),
    "file_operation": (_file_operation, ()),
    "kind": (_kind, ("args", "config")),
}
