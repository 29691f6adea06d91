"""From what a user names - a file, a folder, code, a function - to a spec and the bytes that travel with it."""

import os
import stat
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict, Unpack

from scriptfleet.domain import check
from scriptfleet.domain.isolation import Isolation
from scriptfleet.domain.job import JobSpec
from scriptfleet.domain.kinds import (
    FILE_OPERATION,
    HTTP_REQUEST,
    PYTHON_FUNCTION,
    PYTHON_SCRIPT,
    SHELL,
    SHELLS,
    Source,
)
from scriptfleet.domain.limits import Limits
from scriptfleet.domain.retry import RetryPolicy
from scriptfleet.errors import BlobTooLarge, InvalidValue
from scriptfleet.queues import installed_kinds

if TYPE_CHECKING:
    import datetime

    Moment = datetime.datetime | float | int
else:
    # As a text it would be compiled when the class below is made.
    Moment = Any

#: A kind, and what its config says beside the entry.
_How = tuple[str, dict[str, Any]]


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
    concurrency_key: str | None
    concurrency_limit: int | None
    rate_key: str | None
    #: Such as 10/1m.
    rate_limit: str | None
    requires: Mapping[str, str]
    needs_memory_mb: float | None
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


class Draft(NamedTuple):
    """A spec, and the bytes its source names."""

    spec: JobSpec
    content: bytes | None = None


def of_script(
    path: str | Path,
    args: Sequence[str],
    limit_bytes: int,
    entry: str | None = None,
    uv: bool | None = None,
    **options: Unpack[Options],
) -> Draft:
    """Make a job of a script file, or of a folder with an ``entry`` file in it (``main.py`` unless said).

    ``uv`` says whether uv runs it; None means that it does when the script has inline dependencies (PEP 723).
    """
    place = _place(path)
    if place.is_dir():
        return _of_folder(place, args, limit_bytes, entry, uv, options)
    content = _read(place, limit_bytes)
    how = _language(place.name, content, uv)
    return _of_bytes(how, place.name, content, "file", place.name, args, options)


def of_content(
    file_name: str,
    content: bytes,
    args: Sequence[str],
    limit_bytes: int,
    uv: bool | None = None,
    **options: Unpack[Options],
) -> Draft:
    """Make a job of a script by its file name and its bytes; ``uv`` as for a script."""
    if Path(check.text("script name", file_name, 255)).name != file_name:
        raise InvalidValue("script name", file_name, "the name of a file, without folders")
    if len(content) > limit_bytes:
        raise BlobTooLarge(file_name, len(content), limit_bytes)
    if not content.strip():
        raise InvalidValue("script", file_name, "a script that is not empty")
    return _of_bytes(_language(file_name, content, uv), file_name, content, "file", file_name, args, options)


def of_code(
    code: str, args: Sequence[str], limit_bytes: int, uv: bool | None = None, **options: Unpack[Options]
) -> Draft:
    """Make a job of Python source text; ``uv`` as for a script."""
    content = check.text("code", code, longest=limit_bytes).encode()
    name = options.get("name", "inline.py")
    return _of_bytes(_python(uv), "inline.py", content, "file", name, args, options)


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
    # Only who submits a function needs it.
    from scriptfleet.queues.function_name import function_name  # noqa: PLC0415

    module, name = function_name(function)
    config = {"module": module, "function": name, "args": list(args), "kwargs": dict(kwargs)}
    content = None if folder is None else _packed(_folder(Path(folder)), limit_bytes)
    source = None if content is None else Source.of(content, "bundle")
    return Draft(
        _spec(PYTHON_FUNCTION, options.get("name") or f"{module}.{name}", config, source, (), options), content
    )


def of_http(
    url: str,
    method: str = "GET",
    *,
    headers: Mapping[str, object] | None = None,
    body: object = None,
    auth: Mapping[str, object] | None = None,
    request_timeout: float | None = None,
    expect: Sequence[int] | None = None,
    **options: Unpack[Options],
) -> Draft:
    """Make a job of an HTTP request.

    Values of ``headers`` and ``auth`` may be ``{"secret": "NAME"}``: the worker puts the secret in. ``body`` is text,
    or JSON data. ``request_timeout`` in seconds bounds the exchange; ``expect`` are the status codes that are a success
    (else 2xx and 3xx).
    """
    said = {"headers": headers, "body": body, "auth": auth, "timeout_seconds": request_timeout, "expect": expect}
    config = {name: _plain(value) for name, value in said.items() if value is not None}
    config = {"url": url} | ({} if method == "GET" else {"method": method}) | config
    # Most jobs are scripts.
    from scriptfleet.domain import http_request  # noqa: PLC0415

    http_request.check_request(config)
    named = (*options.get("secrets", ()), *http_request.secret_names(config))
    options["secrets"] = tuple(dict.fromkeys(named))
    name = options.get("name") or f"{method} {http_request.host_of(url)}"
    return Draft(_spec(HTTP_REQUEST, name, config, None, (), options))


def of_file_operation(
    operation: str,
    source: str | Path | None = None,
    destination: str | Path | None = None,
    settings: Mapping[str, object] | None = None,
    **options: Unpack[Options],
) -> Draft:
    """Make a job of one operation on the worker's files: copy, move, delete or create.

    ``settings`` are those of the operation: overwrite, recursive, missing_ok (true or false), content (text), mode
    (octal, as text).
    """
    said = {"source": source, "destination": destination}
    config: dict[str, Any] = {"operation": operation}
    config |= {name: os.fspath(value) for name, value in said.items() if value is not None}
    if settings:
        config["options"] = dict(settings)
    return Draft(_spec(FILE_OPERATION, options.get("name") or operation, config, None, (), options))


def of_kind(kind: str, config: Mapping[str, Any], args: Sequence[str] = (), **options: Unpack[Options]) -> Draft:
    """Make a job of a kind that an installed package adds; ``config`` is what that kind needs, as JSON data."""
    installed_kinds.register_installed_kinds()
    return Draft(_spec(kind, options.get("name") or kind, dict(config), None, args, options))


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    return list(value) if isinstance(value, tuple) else value


def _place(path: object) -> Path:
    if callable(path):
        raise InvalidValue("script", path, "a path; submit_function takes functions")
    if not isinstance(path, str | Path) or not str(path).strip():
        raise InvalidValue("script", path, "the path of a script or of a folder")
    return Path(path)


def _of_folder(
    folder: Path, args: Sequence[str], limit_bytes: int, entry: str | None, uv: bool | None, options: Options
) -> Draft:
    chosen = entry or "main.py"
    if not (folder / chosen).is_file():
        if entry is not None:
            raise InvalidValue("entry", entry, f"a file in {folder}")
        what = "a script, or a folder with main.py or the entry you name in it"
        raise InvalidValue("script", str(folder), what)
    how = _language(chosen, (folder / chosen).read_bytes(), uv)
    content = _packed(folder, limit_bytes)
    name = f"{folder.resolve().name}/{chosen}"
    return _of_bytes(how, chosen, content, "bundle", name, args, options)


def _packed(folder: Path, limit_bytes: int) -> bytes:
    # Most jobs are one file, and need no archives.
    from scriptfleet.queues import bundle  # noqa: PLC0415

    return bundle.pack(folder, limit_bytes)


def _of_bytes(
    how: _How, entry: str, content: bytes, form: str, name: str, args: Sequence[str], options: Options
) -> Draft:
    kind, more = how
    config = {"entry": entry} | more
    source = Source.of(content, form)
    return Draft(_spec(kind, options.get("name") or name, config, source, args, options), content)


def _spec(
    kind: str, name: str, config: dict[str, Any], source: Source | None, args: Sequence[str], options: Options
) -> JobSpec:
    check.optional_text("name", options.get("name"), 255)
    fields = {**fields_of(options), "name": name, "args": check.strings("args", args)}
    return JobSpec(kind=kind, config=config, source=source, **fields)


def fields_of(options: Mapping[str, Any]) -> dict[str, Any]:
    """Give the fields of a spec that these options set, and no others. Raises InvalidValue."""
    for option in options.keys() - _OPTIONS:
        raise InvalidValue("option", option, _OTHER_WORDS.get(option) or f"one of {', '.join(sorted(_OPTIONS))}")
    fields = {name: options[name] for name in _AS_GIVEN if name in options}
    for option, (name, read) in _READ.items():
        if option in options:
            fields[name] = read(options[option])
    return fields


_AS_GIVEN = (
    *("queue", "priority", "labels", "group", "idempotency_key", "submitted_by", "schedule"),
    *("interpreter", "warm", "inherit_env", "name"),
    *("concurrency_key", "concurrency_limit", "rate_key", "rate_limit", "requires", "needs_memory_mb"),
)
_OPTIONS = frozenset(Options.__annotations__)
#: What people try, and how it is said here.
_OTHER_WORDS = {
    "memory": 'limits={"memory_mb": …}, in MiB',
    "cpu_time": 'limits={"cpu_seconds": …}',
    "delay": "not_before, a moment",
    "retries": "retry",
}


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
    if said is None or isinstance(said, int | float):
        return check.optional_number(field, said)
    # Few jobs are for a later moment.
    import datetime  # noqa: PLC0415

    if isinstance(said, datetime.datetime):
        if said.tzinfo is None:
            raise InvalidValue(field, said.isoformat(), "a moment with a time zone, such as datetime.now(UTC)")
        return said.timestamp()
    return check.optional_number(field, said)


#: Options that are read before they are a field: the field, and how.
_READ: dict[str, tuple[str, Callable[[Any], object]]] = {
    "env": ("env", partial(check.environment, "env")),
    "secrets": ("secrets", partial(check.strings, "secrets")),
    "working_dir": ("working_dir", lambda said: None if said is None else str(said)),
    "timeout": ("timeout_seconds", lambda said: check.optional_duration("timeout", said, above=True)),
    "grace": ("grace_seconds", partial(check.duration, "grace")),
    "retry": ("retry", _retry),
    "limits": ("limits", _limits),
    "isolation": ("isolation", _isolation),
    "preload": ("preload", partial(check.strings, "preload")),
    "exclude_env": ("exclude_env", partial(check.strings, "exclude_env")),
    "not_before": ("not_before", partial(_moment, "not_before")),
    "expires": ("expires_at", partial(_moment, "expires")),
}


def _read(path: Path, limit_bytes: int) -> bytes:
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            # Reading a device or a pipe may never end.
            raise InvalidValue("script", str(path), "a regular file, not a device, pipe or socket")
        size = found.st_size
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


def _language(name: str, content: bytes, uv: bool | None) -> _How:
    suffix = Path(name).suffix.removeprefix(".")
    if suffix in {"py", "pyw"}:
        return _python(uv)
    if suffix in SHELLS:
        return _shell(name, suffix, uv)
    words = content.split(b"\n", 1)[0].decode(errors="replace").removeprefix("#!").replace("/", " ").split()
    if content.startswith(b"#!") and any(word.startswith("python") or word == "uv" for word in words):
        return _python(uv)
    if content.startswith(b"#!") and (named := [word for word in words if word in SHELLS]):
        return _shell(name, named[0], uv)
    endings = ", ".join(f".{ending}" for ending in ("py", *SHELLS))
    raise InvalidValue("script", name, f"a file that ends in {endings}, or begins with #! and python or a shell")


def _python(uv: bool | None) -> _How:
    return PYTHON_SCRIPT, {} if uv is None else {"uv": uv}


def _shell(name: str, shell: str, uv: bool | None) -> _How:
    if uv is not None:
        raise InvalidValue("uv", uv, f"a Python script, not {name}")
    return SHELL, {} if shell == "sh" else {"shell": shell}
