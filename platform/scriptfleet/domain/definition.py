"""A definition: a job spec under a name, with parameters that are said when it is submitted. Pure."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from scriptfleet.domain import check
from scriptfleet.domain.job import JobSpec
from scriptfleet.domain.parameter import Parameter, Value, unknown
from scriptfleet.domain.places import check_places, filled_spec
from scriptfleet.errors import InvalidValue, ScriptfleetError

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
#: The label that jobs made from a definition bear: its name and version, as NAME@VERSION.
LABEL: Final = "definition"
MOST_VERSION: Final = 1_000_000_000
MOST_PARAMETERS: Final = 100
#: What holds for one job alone.
_OF_ONE_JOB: Final = ("idempotency_key", "not_before", "expires_at", "schedule", "rerun_of")


class DefinitionNotFound(ScriptfleetError):
    """The store knows no such definition, or it was removed."""

    def __init__(self, reference: str, is_removed: bool = False) -> None:
        self.reference = reference
        why = "it was removed" if is_removed else "`scriptfleet definition ls` lists them"
        super().__init__(f"definition not found: {reference} ({why})")


@dataclass(frozen=True, slots=True)
class Definition:
    """What is run and with which parameters; one version of it, which never changes."""

    name: str
    spec: JobSpec
    parameters: tuple[Parameter, ...] = ()
    description: str = ""

    def __post_init__(self) -> None:
        definition_name(self.name)
        check.text("description", self.description, 2000, may_be_empty=True)
        if len(self.parameters) > MOST_PARAMETERS:
            raise InvalidValue("parameters", len(self.parameters), f"at most {MOST_PARAMETERS}")
        names = [one.name for one in self.parameters]
        for name in names:
            if names.count(name) > 1:
                raise InvalidValue("parameters", name, "names of which each stands once")
        for name in _OF_ONE_JOB:
            if getattr(self.spec, name) is not None:
                raise InvalidValue(name, getattr(self.spec, name), "nothing: a definition is submitted many times")
        if LABEL in self.spec.labels:
            raise InvalidValue("labels", LABEL, "other labels: this one is set to the definition's name and version")
        check_places(self.spec, self._known())

    def filled(self, values: Mapping[str, object], version: int) -> JobSpec:
        """Give the spec of one job: each place of a parameter filled with its value, or its default.

        Raises InvalidValue for a value that is not allowed, a required one that is missing, and a name that no
        parameter has.
        """
        known = self._known()
        for name in values:
            if name not in known:
                raise unknown(name, known)
        used = {one.name: _value(one, values) for one in self.parameters}
        spec = filled_spec(self.spec, known, used)
        return replace(spec, labels={**spec.labels, LABEL: f"{self.name}@{version}"})

    def to_dict(self) -> dict[str, Any]:
        """Give plain JSON data, without the name."""
        return {
            "description": self.description,
            "parameters": {one.name: one.to_dict() for one in self.parameters},
            "spec": self.spec.to_dict(),
        }

    def _known(self) -> dict[str, Parameter]:
        return {one.name: one for one in self.parameters}


@dataclass(frozen=True, slots=True)
class Reference:
    """How a definition is named: NAME for its newest version, or NAME@VERSION."""

    name: str
    version: int | None = field(default=None)

    @classmethod
    def parse(cls, text: str) -> "Reference":
        """Read NAME or NAME@VERSION. Raises InvalidValue."""
        name, at, version = text.partition("@")
        definition_name(name)
        if not at:
            return cls(name)
        if not version.isascii() or not version.isdigit() or not 1 <= int(version[:12]) <= MOST_VERSION:
            raise InvalidValue("definition", text, "NAME or NAME@VERSION, the version a whole number from 1")
        return cls(name, int(version))

    def __str__(self) -> str:
        return self.name if self.version is None else f"{self.name}@{self.version}"


def definition_name(value: object) -> str:
    """Accept a definition's name. Raises InvalidValue."""
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        what = "1 to 64 letters, digits, '_', '-' or '.', the first a letter or digit"
        raise InvalidValue("definition name", value, what)
    return value


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Name what differs between two definitions' plain forms, as paths such as ``spec.env.DAY``, in order."""
    return sorted(_changed("", before, after))


def changes_from(before: Definition | None, after: Definition | None) -> list[str]:
    """Name what a version changed: paths, or that it was made or removed; None stands for a removal or nothing."""
    if after is None:
        return ["removed"]
    return ["made"] if before is None else changes(before.to_dict(), after.to_dict())


def _changed(path: str, before: object, after: object) -> Iterator[str]:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for name in before.keys() | after.keys():
            inner = f"{path}.{name}" if path else str(name)
            yield from _changed(inner, before.get(name), after.get(name))
    elif before != after:
        yield path


def _value(parameter: Parameter, values: Mapping[str, object]) -> Value | None:
    said = values.get(parameter.name)
    if said is not None:
        return parameter.accept(said)
    if parameter.is_required:
        raise InvalidValue(
            f"parameter {parameter.name}", "nothing", f"a value, which is required: {parameter.allowed()}"
        )
    return parameter.default


def in_order(parameters: Sequence[Parameter]) -> list[Parameter]:
    """Give parameters as a form shows them: required ones first."""
    return sorted(parameters, key=lambda one: not one.is_required)
