"""The spec of a job: what an app, a person or a schedule asks for. Immutable, and validated when it is made."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

from scriptfleet.domain import check
from scriptfleet.domain.isolation import Isolation
from scriptfleet.domain.kinds import PYTHON_KINDS, Source, check_config, shown_target, unused_fields
from scriptfleet.domain.limits import MOST_MEMORY_MB, Limits
from scriptfleet.domain.masking import without_secrets
from scriptfleet.domain.retry import RetryPolicy
from scriptfleet.domain.value import field, names_of, replace, value
from scriptfleet.errors import InvalidValue

if TYPE_CHECKING:
    from scriptfleet.domain.rate import Rate

SPEC_VERSION = 1

#: Most that a concurrency key may let run at once.
MOST_AT_ONCE = 1_000_000
#: Priorities run from 0 to 9; 9 goes first.
LOWEST_PRIORITY, NORMAL_PRIORITY, HIGHEST_PRIORITY = 0, 5, 9


@value(frozen=True, slots=True)
class JobSpec:
    """What to run, how, and within what bounds. Times are seconds since the epoch, durations are seconds."""

    #: How it is run: the name of an executor, such as ``python_script``.
    kind: str
    #: What people see it as: the script's file name.
    name: str
    #: What the kind needs to know (see domain/kinds.py).
    config: dict[str, Any] = field(default_factory=dict)
    #: The bytes that travel with the job, or None.
    source: Source | None = None
    #: Arguments of the script, passed untouched.
    args: tuple[str, ...] = ()
    #: Environment variables of the run, never secrets; ``${NAME}`` stands for another one (see interpolation.py).
    env: dict[str, str] = field(default_factory=dict)
    #: Names of secrets that the worker fetches and puts into the environment under the same name.
    secrets: tuple[str, ...] = ()
    #: Folder on the worker to run in; None means a fresh folder of the run's own.
    working_dir: str | None = None
    queue: str = "default"
    priority: int = NORMAL_PRIORITY
    #: Free-form marks to find jobs by.
    labels: dict[str, str] = field(default_factory=dict)
    #: The group it belongs to (a team, a project), or None. Groups of a queue take turns.
    group: str | None = None
    #: At most ``concurrency_limit`` jobs of this key run at once on the whole fleet; the limit submitted last holds.
    concurrency_key: str | None = None
    concurrency_limit: int | None = None
    #: Jobs of this key start no faster than ``rate_limit``, such as 10/1m, on the whole fleet; the last one holds.
    rate_key: str | None = None
    rate_limit: str | None = None
    #: Labels that the worker must have.
    requires: dict[str, str] = field(default_factory=dict)
    #: Memory that the worker must have free, MiB, and keeps for the run. A limit of memory asks for none.
    needs_memory_mb: float | None = None
    #: Longest wall time of one run; None means no limit.
    timeout_seconds: float | None = None
    #: Between the polite TERM and the KILL.
    grace_seconds: float = 5.0
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    limits: Limits = field(default_factory=Limits)
    #: The same key with the same spec is the same job; None means every submit is a new one.
    idempotency_key: str | None = None
    #: Not to be started before this moment.
    not_before: float | None = None
    #: Not to be started after this moment.
    expires_at: float | None = None
    #: Interpreter of Python kinds: a path, or a name to be found on the worker; None means the worker's own.
    interpreter: str | None = None
    #: Start in an interpreter that has already imported ``preload``, or, without one, what its worker has it import;
    #: Python kinds on the worker's own interpreter.
    warm: bool = False
    preload: tuple[str, ...] = ()
    #: Whether the worker's environment is inherited; None means what is usual: no on a fleet, yes on one's own machine.
    inherit_env: bool | None = None
    #: Variables that are not inherited though others are; a trailing * stands for any ending.
    exclude_env: tuple[str, ...] = ()
    isolation: Isolation = field(default_factory=Isolation)
    #: Who or what submitted it, as shown to people.
    submitted_by: str | None = None
    #: The schedule that fired it, or None.
    schedule: str | None = None
    #: The job that it was made from by a rerun, or None.
    rerun_of: str | None = None

    def __post_init__(self) -> None:
        check.text("name", self.name, 255)
        check_config(self.kind, self.config, self.source)
        for name in unused_fields(self.kind):
            if getattr(self, name):
                raise InvalidValue(name, getattr(self, name), f"none: jobs of kind {self.kind} have no use for it")
        self._check_surroundings()
        self._check_flow()
        self._check_inheritance()
        self._check_interpreter()
        self._check_times()
        self._check_memory_rule()

    def _check_surroundings(self) -> None:
        check.strings("args", self.args)
        check.environment("env", self.env)
        check.environment("secrets", dict.fromkeys(check.strings("secrets", self.secrets), ""))
        check.optional_text("working_dir", self.working_dir)
        check.queue_name(self.queue)
        check.integer("priority", self.priority, LOWEST_PRIORITY, HIGHEST_PRIORITY)
        check.labels("labels", self.labels)
        for name in ("group", "idempotency_key", "submitted_by", "schedule", "rerun_of"):
            check.optional_text(name, getattr(self, name), 255)

    def _check_flow(self) -> None:
        for key, bound in (("concurrency_key", "concurrency_limit"), ("rate_key", "rate_limit")):
            check.optional_text(key, getattr(self, key), 255)
            if (getattr(self, key) is None) != (getattr(self, bound) is None):
                raise InvalidValue(bound, getattr(self, bound), f"one together with {key}, or neither")
        check.optional_integer("concurrency_limit", self.concurrency_limit, 1, MOST_AT_ONCE)
        if self.rate_limit is not None:
            _rate(self.rate_limit)
        check.labels("requires", self.requires)
        check.optional_number("needs_memory_mb", self.needs_memory_mb, least=1.0, most=MOST_MEMORY_MB)

    @property
    def rate(self) -> "Rate | None":
        """The rate limit, read."""
        return None if self.rate_limit is None else _rate(self.rate_limit)

    def _check_inheritance(self) -> None:
        if self.inherit_env not in (None, True, False):
            raise InvalidValue("inherit_env", self.inherit_env, "true or false")
        for rule in check.strings("exclude_env", self.exclude_env):
            if rule != "*" and not check.is_env_name(rule.removesuffix("*")):
                raise InvalidValue("exclude_env", rule, "names of variables; * may stand at the end alone")

    def _check_interpreter(self) -> None:
        check.optional_text("interpreter", self.interpreter)
        for module in check.strings("preload", self.preload):
            if not all(part.isidentifier() for part in module.split(".")):
                raise InvalidValue("preload", module, "names of Python modules")
        if self.warm not in (None, True, False):
            raise InvalidValue("warm", self.warm, "true or false")
        if self.warm and (self.interpreter or self.kind not in PYTHON_KINDS):
            raise InvalidValue("warm", self.warm, "a Python job without an interpreter of its own")
        if self.warm and self.isolation:
            raise InvalidValue("warm", self.warm, "a job without isolation, which needs a process of its own")

    def _check_times(self) -> None:
        check.optional_duration("timeout", self.timeout_seconds, above=True)
        check.number("grace", self.grace_seconds, most=86_400)
        check.optional_moment("not_before", self.not_before)
        check.optional_moment("expires_at", self.expires_at)
        if self.not_before and self.expires_at and self.expires_at <= self.not_before:
            raise InvalidValue("expires_at", self.expires_at, f"a moment after not_before, {self.not_before}")

    def _check_memory_rule(self) -> None:
        limit, retry = self.limits.memory_mb, self.retry
        if retry.oom_memory_factor is not None and limit is None:
            what = "a memory limit beside it (limits.memory_mb): there is nothing to multiply"
            raise InvalidValue("retry.oom_memory_factor", retry.oom_memory_factor, what)
        if retry.oom_memory_max_mb is not None and limit is not None and retry.oom_memory_max_mb < limit:
            raise InvalidValue(
                "retry.oom_memory_max_mb", retry.oom_memory_max_mb, f"{limit:g}, the first limit, or more"
            )

    def after_out_of_memory(self, times: int) -> Self:
        """Give the spec of the attempt after so many that ran out of memory: its memory limit is what the rule says.

        What its worker must have free grows by the same factor.
        """
        if not times or self.limits.memory_mb is None or self.retry.oom_memory_factor is None:
            return self
        memory_mb = self.retry.memory_mb(self.limits.memory_mb, times)
        needs = None if self.needs_memory_mb is None else self.needs_memory_mb * memory_mb / self.limits.memory_mb
        return replace(self, limits=replace(self.limits, memory_mb=memory_mb), needs_memory_mb=needs)

    def display_args(self) -> str:
        """Give the arguments as one short line for tables and Flower; secrets are never in them."""
        if (target := shown_target(self.kind, self.config)) is not None:
            return target[:200]
        shown = self.args or (self.config.get("args") or ()) or without_secrets(self.config.get("kwargs") or {})
        return _text(shown)[:200] if shown else ""

    def to_dict(self) -> dict[str, Any]:
        """Give plain JSON data: only what differs from the defaults, and the version of this form."""
        plain: dict[str, Any] = {"v": SPEC_VERSION, "kind": self.kind, "name": self.name}
        for name in _PLAIN:
            value = getattr(self, name)
            if value not in (None, (), {}) and value != _DEFAULTS.get(name):
                plain[name] = list(value) if isinstance(value, tuple) else value
        for name, part in (
            ("source", self.source),
            ("retry", self.retry),
            ("limits", self.limits),
            ("isolation", self.isolation),
        ):
            if part is not None and (found := part.to_dict()):
                plain[name] = found
        return plain

    def to_json(self) -> str:
        """Give the one text of this spec: equal specs give equal text."""
        return _text(self.to_dict(), sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Read what to_dict wrote; unknown names are refused, a newer version is refused by name."""
        given = check.mapping("job", data)
        version = given.pop("v", SPEC_VERSION)
        if not isinstance(version, int) or version > SPEC_VERSION:
            raise InvalidValue("job.v", version, f"a spec of version {SPEC_VERSION} or older: upgrade this worker")
        known = set(names_of(cls))
        for name in given.keys() - known:
            raise InvalidValue("job", name, f"one of {', '.join(sorted(known))}")
        for name in ("kind", "name"):
            if name not in given:
                raise InvalidValue(f"job.{name}", None, "a value")
        return cls(**_revived(given))

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Read what to_json wrote."""
        # As in _text().
        import json  # noqa: PLC0415

        try:
            data = json.loads(text)
        except ValueError as fault:
            raise InvalidValue("job", text, f"JSON ({fault})") from fault
        return cls.from_dict(data)


def _rate(said: object) -> "Rate":
    # Few jobs have one.
    from scriptfleet.domain.rate import Rate  # noqa: PLC0415

    return Rate.parse("rate_limit", said)


def _text(data: object, **form: Any) -> str:
    # A script on this machine starts without it.
    import json  # noqa: PLC0415

    return json.dumps(data, ensure_ascii=False, **form)


def _revived(given: dict[str, Any]) -> dict[str, Any]:
    for name in ("args", "secrets", "preload", "exclude_env"):
        if name in given:
            given[name] = check.strings(name, given[name])
    for name, form in (("source", Source), ("retry", RetryPolicy), ("limits", Limits), ("isolation", Isolation)):
        if given.get(name) is not None:
            given[name] = form.from_dict(given[name])
    return given


_PARTS = {"kind", "name", "source", "retry", "limits", "isolation"}
_PLAIN = [name for name in names_of(JobSpec) if name not in _PARTS]
_DEFAULTS = {"queue": "default", "priority": NORMAL_PRIORITY, "grace_seconds": 5.0, "warm": False}
