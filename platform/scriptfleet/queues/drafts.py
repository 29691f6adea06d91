"""From what a user names - a file, a folder, code, a function - to a spec and the bytes that travel with it."""

import datetime
import importlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict, Unpack

from scriptfleet.domain import check
from scriptfleet.domain.isolation import Isolation
from scriptfleet.domain.job import JobSpec
from scriptfleet.domain.kinds import PYTHON_FUNCTION, PYTHON_SCRIPT, SHELL, SHELLS, Source
from scriptfleet.domain.limits import Limits
from scriptfleet.domain.retry import RetryPolicy
from scriptfleet.errors import BlobTooLarge, InvalidValue
from scriptfleet.queues import bundle

Moment = datetime.datetime | float | int


class Options(TypedDict, total=False):
    """What every way of submitting takes; see JobSpec for the meaning of each."""

    name: str
    env: Mapping[str, str]
    secrets: Sequence[str]
    working_dir: str | Path | None
    queue: str
    priority: int
    labels: Mapping[str, str]
    group: str | None
    #: Seconds, or None.
    timeout: float | None
    #: Seconds between TERM and KILL.
    grace: float
    #: A policy, or how many more attempts there may be.
    retry: RetryPolicy | int
    limits: Limits | Mapping[str, Any]
    idempotency_key: str | None
    not_before: Moment | None
    expires: Moment | None
    interpreter: str | None
    warm: bool
    preload: Sequence[str]
    inherit_env: bool | None
    exclude_env: Sequence[str]
    isolation: Isolation | Mapping[str, Any]
    submitted_by: str | None
    schedule: str | None


@dataclass(frozen=True, slots=True)
class Draft:
    """A spec, and the bytes its source names."""

    spec: JobSpec
    content: bytes | None = None


def of_script(
    path: str | Path, args: Sequence[str], limit_bytes: int, entry: str | None = None, **options: Unpack[Options]
) -> Draft:
    """Make a job of a script file, or of a folder with an ``entry`` file in it (``main.py`` unless said)."""
    place = Path(path)
    if place.is_dir():
        return _of_folder(place, args, limit_bytes, entry, options)
    content = _read(place, limit_bytes)
    kind, shell = _language(place.name, content)
    return _of_bytes(kind, place.name, shell, content, "file", place.name, args, options)


def of_code(code: str, args: Sequence[str], limit_bytes: int, **options: Unpack[Options]) -> Draft:
    """Make a job of Python source text."""
    content = check.text("code", code, longest=limit_bytes).encode()
    name = options.get("name", "inline.py")
    return _of_bytes(PYTHON_SCRIPT, "inline.py", None, content, "file", name, args, options)


def of_command(command: str, shell: str = "sh", **options: Unpack[Options]) -> Draft:
    """Make a job of a shell command line."""
    check.text("command", command, longest=131_071)
    name = options.get("name") or command.split(maxsplit=1)[0].rsplit("/", 1)[-1][:255] or shell
    config = {"command": command} | ({} if shell == "sh" else {"shell": shell})
    return Draft(_spec(SHELL, name, config, None, (), options))


def of_function(
    function: str | Callable[..., Any],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    limit_bytes: int,
    folder: str | Path | None = None,
    **options: Unpack[Options],
) -> Draft:
    """Make a job of a function, named ``module:function`` or given itself; arguments are JSON data.

    The module must be importable on the worker, or lie in ``folder``, which then travels along.
    """
    module, name = _function_name(function)
    config = {"module": module, "function": name, "args": list(args), "kwargs": dict(kwargs)}
    content = None if folder is None else bundle.pack(_folder(Path(folder)), limit_bytes)
    source = None if content is None else Source.of(content, "bundle")
    return Draft(
        _spec(PYTHON_FUNCTION, options.get("name") or f"{module}.{name}", config, source, (), options), content
    )


def _of_folder(folder: Path, args: Sequence[str], limit_bytes: int, entry: str | None, options: Options) -> Draft:
    chosen = entry or "main.py"
    if not (folder / chosen).is_file():
        what = "a script, or a folder with main.py or the entry you name in it"
        raise InvalidValue("script", str(folder), what)
    kind, shell = _language(chosen, (folder / chosen).read_bytes())
    content = bundle.pack(folder, limit_bytes)
    name = f"{folder.resolve().name}/{chosen}"
    return _of_bytes(kind, chosen, shell, content, "bundle", name, args, options)


def _of_bytes(
    kind: str,
    entry: str,
    shell: str | None,
    content: bytes,
    form: str,
    name: str,
    args: Sequence[str],
    options: Options,
) -> Draft:
    config = {"entry": entry} | ({"shell": shell} if shell else {})
    source = Source.of(content, form)
    return Draft(_spec(kind, options.get("name") or name, config, source, args, options), content)


def _spec(
    kind: str, name: str, config: dict[str, Any], source: Source | None, args: Sequence[str], options: Options
) -> JobSpec:
    for option in options.keys() - _OPTIONS:
        raise InvalidValue("option", option, f"one of {', '.join(sorted(_OPTIONS))}")
    given = dict(options)
    working_dir = given.get("working_dir")
    return JobSpec(
        kind=kind,
        name=name,
        config=config,
        source=source,
        args=check.strings("args", args),
        env=check.environment("env", given.get("env", {})),
        secrets=check.strings("secrets", given.get("secrets", ())),
        working_dir=None if working_dir is None else str(working_dir),
        timeout_seconds=check.optional_number("timeout", given.get("timeout"), above=True),
        grace_seconds=check.number("grace", given.get("grace", 5.0)),
        retry=_retry(given.get("retry", 0)),
        limits=_limits(given.get("limits")),
        isolation=_isolation(given.get("isolation")),
        preload=check.strings("preload", given.get("preload", ())),
        exclude_env=check.strings("exclude_env", given.get("exclude_env", ())),
        not_before=_moment("not_before", given.get("not_before")),
        expires_at=_moment("expires", given.get("expires")),
        **{name: given[name] for name in _AS_GIVEN if name in given},  # type: ignore[arg-type]
    )


_AS_GIVEN = (
    *("queue", "priority", "labels", "group", "idempotency_key", "submitted_by", "schedule"),
    *("interpreter", "warm", "inherit_env"),
)
_OPTIONS = frozenset(Options.__annotations__)


def _retry(said: object) -> RetryPolicy:
    if isinstance(said, RetryPolicy):
        return said
    if isinstance(said, Mapping):
        return RetryPolicy.from_dict(said)
    return RetryPolicy(max_attempts=check.integer("retry", said, 0, 999) + 1)


def _limits(said: object) -> Limits:
    if said is None or isinstance(said, Limits):
        return said or Limits()
    return Limits.from_dict(said)


def _isolation(said: object) -> Isolation:
    if said is None or isinstance(said, Isolation):
        return said or Isolation()
    return Isolation.from_dict(said)


def _moment(field: str, said: object) -> float | None:
    if isinstance(said, datetime.datetime):
        if said.tzinfo is None:
            raise InvalidValue(field, said.isoformat(), "a moment with a time zone, such as datetime.now(UTC)")
        return said.timestamp()
    return check.optional_number(field, said)


def _read(path: Path, limit_bytes: int) -> bytes:
    try:
        size = path.stat().st_size
        if size > limit_bytes:
            raise BlobTooLarge(path.name, size, limit_bytes)
        content = path.read_bytes()
    except OSError as fault:
        raise InvalidValue("script", str(path), f"a file that can be read ({fault.strerror or fault})") from fault
    if not content.strip():
        raise InvalidValue("script", str(path), "a file that is not empty")
    return content


def _folder(path: Path) -> Path:
    if not path.is_dir():
        raise InvalidValue("folder", str(path), "a folder that exists")
    return path


def _language(name: str, content: bytes) -> tuple[str, str | None]:
    suffix = Path(name).suffix.removeprefix(".")
    if suffix in {"py", "pyw"}:
        return PYTHON_SCRIPT, None
    if suffix in SHELLS:
        return SHELL, None if suffix == "sh" else suffix
    words = content.split(b"\n", 1)[0].decode(errors="replace").removeprefix("#!").replace("/", " ").split()
    if content.startswith(b"#!") and any(word.startswith("python") for word in words):
        return PYTHON_SCRIPT, None
    if content.startswith(b"#!") and (named := [word for word in words if word in SHELLS]):
        return SHELL, None if named[0] == "sh" else named[0]
    endings = ", ".join(f".{ending}" for ending in ("py", *SHELLS))
    raise InvalidValue("script", name, f"a file that ends in {endings}, or begins with #! and python or a shell")


def _function_name(function: str | Callable[..., Any]) -> tuple[str, str]:
    if isinstance(function, str):
        module, _, name = function.partition(":")
        if not name:
            raise InvalidValue("function", function, "module:function")
        return module, name
    module, name = getattr(function, "__module__", ""), getattr(function, "__qualname__", "")
    if module in {"", "__main__"} or "<" in name:
        raise InvalidValue("function", repr(function), "a function at the top of a module that the worker can import")
    if not callable(inspect.getattr_static(importlib.import_module(module), name.split(".")[0])):
        raise InvalidValue("function", name, "a function")
    return str(module), str(name)
