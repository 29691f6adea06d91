"""What may be submitted over REST, and the draft that it makes. Nothing is read from this machine's disk."""

import base64
import binascii
from dataclasses import replace
from datetime import datetime
from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, JsonValue

from scriptfleet.domain.job import JobSpec
from scriptfleet.errors import InvalidValue
from scriptfleet.queues import drafts
from scriptfleet.queues.drafts import Draft

Moment = AwareDatetime | float
_FORBID = ConfigDict(extra="forbid")
_WAYS = ("code", "command", "script", "function", "http", "spec")
_NOT_OPTIONS = {*_WAYS, "shell", "args", "kwargs", "uv"}


class JobOptions(BaseModel):
    """How a job is run; what is not named stays as it is by default. Durations are seconds, sizes MiB or bytes."""

    model_config = _FORBID

    name: str | None = Field(None, max_length=255, description="What people see it as.")
    env: dict[str, str] | None = None
    secrets: list[str] | None = Field(None, description="Names of secrets that the worker fetches.")
    working_dir: str | None = None
    queue: str | None = Field(None, examples=["default"])
    priority: int | None = Field(None, ge=0, le=9)
    labels: dict[str, str] | None = None
    group: str | None = None
    concurrency_key: str | None = None
    concurrency_limit: int | None = Field(None, ge=1)
    rate_key: str | None = None
    rate_limit: str | None = Field(None, examples=["10/1m"])
    requires: dict[str, str] | None = Field(None, description="Labels that the worker must have.")
    needs_memory_mb: float | None = None
    timeout: float | None = Field(None, gt=0, description="Seconds that one run may take.")
    grace: float | None = Field(None, ge=0, le=86_400, description="Seconds between TERM and KILL.")
    retry: int | dict[str, JsonValue] | None = Field(None, description="So many more attempts, or a policy.")
    limits: dict[str, JsonValue] | None = Field(None, description="memory_mb, cpu_seconds, processes, open_files, …")
    idempotency_key: str | None = Field(None, max_length=255, description="The header Idempotency-Key says the same.")
    not_before: Moment | None = None
    expires: Moment | None = None
    interpreter: str | None = None
    warm: bool | None = None
    preload: list[str] | None = None
    inherit_env: bool | None = None
    exclude_env: list[str] | None = None
    isolation: dict[str, JsonValue] | None = None

    def options(self) -> dict[str, Any]:
        """Give the options that were named, as a submit takes them."""
        named = (name for name in JobOptions.model_fields if name in self.model_fields_set)
        return {name: value for name in named if (value := getattr(self, name)) is not None}


class Changes(JobOptions):
    """What a rerun has otherwise than the job it is made from."""

    args: list[JsonValue] | None = None
    kwargs: dict[str, JsonValue] | None = None

    def changes(self) -> dict[str, Any]:
        """Give the changes as ``Client.rerun`` takes them."""
        own = {"args": self.args, "kwargs": self.kwargs}
        return self.options() | {name: value for name, value in own.items() if value is not None}


class ScriptSource(BaseModel):
    """A script by its content; its name's ending, or its first line, tells the language."""

    model_config = _FORBID

    name: str = Field(min_length=1, max_length=255, examples=["train.py"])
    content: str | None = Field(None, description="Text.", examples=["print('hello')\n"])
    content_base64: str | None = Field(None, description="Bytes, where it is no text.")

    def body(self) -> bytes:
        """Give the bytes; raises InvalidValue."""
        if (self.content is None) == (self.content_base64 is None):
            raise InvalidValue("script", self.name, "one of content and content_base64")
        try:
            if self.content is not None:
                return self.content.encode()
            return base64.b64decode(self.content_base64 or "", validate=True)
        except (UnicodeEncodeError, ValueError, binascii.Error) as fault:
            raise InvalidValue("script.content", self.name, f"text, or bytes in Base64 ({fault})") from fault


class HttpSource(BaseModel):
    """An HTTP request that the worker makes; its answer's body is the run's output."""

    model_config = _FORBID

    url: str = Field(examples=["https://example.org/health"])
    method: str = "GET"
    headers: dict[str, JsonValue] | None = None
    body: JsonValue = None
    auth: dict[str, JsonValue] | None = None
    request_timeout: float | None = None
    expect: list[int] | None = None


class NewJob(JobOptions):
    """A job to submit: exactly one of ``code``, ``command``, ``script``, ``function``, ``http`` and ``spec``."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"code": "print('hello')", "timeout": 60},
                {"command": "df -h", "queue": "default", "labels": {"team": "ops"}},
                {"script": {"name": "train.py", "content": "import sys; print(sys.argv)"}, "args": ["--fast"]},
            ]
        },
    )

    code: str | None = Field(None, description="Python source text.")
    command: str | None = Field(None, description="A command line for the shell.")
    shell: str | None = Field(None, description="The shell of `command`; sh unless said.")
    script: ScriptSource | None = None
    function: str | None = Field(None, description="`module:function` that the worker can import.")
    http: HttpSource | None = None
    spec: dict[str, JsonValue] | None = Field(None, description="A whole spec, as GET /jobs/{job_id} shows it.")
    args: list[JsonValue] = Field(default_factory=list, description="Text for scripts, JSON data for a function.")
    kwargs: dict[str, JsonValue] | None = None
    uv: bool | None = Field(None, description="Whether uv runs the Python script.")

    def draft(self, limit_bytes: int, submitted_by: str, idempotency_key: str | None) -> Draft:
        """Make the draft; raises InvalidValue."""
        way = self._way()
        self._refuse_what_has_no_use(way)
        options = _read(self.options()) | {"submitted_by": submitted_by}
        if key := _key(self.idempotency_key, idempotency_key):
            options["idempotency_key"] = key
        return self._draft(way, limit_bytes, options)

    def _way(self) -> str:
        ways = [name for name in _WAYS if getattr(self, name) is not None]
        if len(ways) != 1:
            raise InvalidValue("job", " and ".join(ways) or "nothing to run", f"exactly one of {', '.join(_WAYS)}")
        return ways[0]

    def _refuse_what_has_no_use(self, way: str) -> None:
        useful = {"shell": ("command",), "kwargs": ("function",), "uv": ("code", "script")}
        useful["args"] = ("code", "script", "function")
        for name, ways in useful.items():
            if getattr(self, name) not in (None, []) and way not in ways:
                raise InvalidValue(name, getattr(self, name), f"none beside {way}: it goes with {' or '.join(ways)}")

    def _draft(self, way: str, limit_bytes: int, options: dict[str, Any]) -> Draft:
        # Text is checked where it goes: scripts take text alone, functions any JSON data.
        args: list[Any] = self.args
        if way == "code":
            return drafts.of_code(self.code or "", args, limit_bytes, self.uv, **options)
        if way == "command":
            return drafts.of_command(self.command or "", self.shell or "sh", **options)
        if way == "function":
            return drafts.of_function(self.function or "", args, self.kwargs or {}, limit_bytes, **options)
        if self.script is not None:
            return drafts.of_content(self.script.name, self.script.body(), args, limit_bytes, self.uv, **options)
        if self.http is not None:
            return drafts.of_http(**self.http.model_dump(), **options)
        return self._of_spec(options)

    def _of_spec(self, options: dict[str, Any]) -> Draft:
        own = {"submitted_by", "idempotency_key"}
        for name in options.keys() - own:
            raise InvalidValue(name, options[name], "none beside spec: the spec says it")
        spec = JobSpec.from_dict(self.spec or {})
        return Draft(replace(spec, **{name: options[name] for name in own if name in options}))


def read_changes(changes: Changes, submitted_by: str, idempotency_key: str | None) -> dict[str, Any]:
    """Give what a rerun changes; raises InvalidValue."""
    found = _read(changes.changes()) | {"submitted_by": submitted_by}
    if key := _key(changes.idempotency_key, idempotency_key):
        found["idempotency_key"] = key
    return found


def _read(options: dict[str, Any]) -> dict[str, Any]:
    return {name: value.timestamp() if isinstance(value, datetime) else value for name, value in options.items()}


def _key(in_body: str | None, in_header: str | None) -> str | None:
    if in_body is not None and in_header is not None and in_body != in_header:
        raise InvalidValue("idempotency_key", in_body, f"what the header Idempotency-Key says, {in_header!r}, or none")
    return in_body if in_header is None else in_header
