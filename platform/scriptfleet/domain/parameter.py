"""A parameter of a definition: its type, what it may be, and what stands for it when nobody says it. Pure."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any, Final, Self

from scriptfleet.domain import check
from scriptfleet.errors import InvalidValue

#: Letters, digits and underscores, so that a shell's variable can bear the name.
NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
LONGEST_VALUE: Final = 65_536
LONGEST_SECRET_NAME: Final = 255
MOST_CHOICES: Final = 200
#: Beyond it, whole numbers are no longer exact in JSON and in browsers.
MOST_WHOLE: Final = 2**53

Value = str | int | float | bool
_WORDS: Final = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


class ParameterType(StrEnum):
    """What a parameter's value is."""

    STRING = "string"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    CHOICE = "choice"
    #: The name of a secret, never the secret itself.
    SECRET = "secret"  # noqa: S105 - a type's name


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter. ``least`` and ``most`` bound numbers; ``choices`` bound a choice, and may bound a secret."""

    name: str
    type: ParameterType = ParameterType.STRING
    description: str = ""
    #: None means that nothing stands for it: its places are empty.
    default: Value | None = None
    #: Whether somebody must say it each time.
    is_required: bool = False
    choices: tuple[str, ...] = ()
    least: float | None = None
    most: float | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not NAME.fullmatch(self.name):
            what = "1 to 64 letters, digits and '_' that do not begin with a digit"
            raise InvalidValue("parameter name", self.name, what)
        check.text(self._where("description"), self.description, 1000, may_be_empty=True)
        if self.is_required not in (True, False):
            raise InvalidValue(self._where("required"), self.is_required, "true or false")
        self._check_choices()
        self._check_bounds()
        if self.default is not None:
            if self.is_required:
                raise InvalidValue(self._where("default"), self.default, "none: a required parameter is always said")
            self.accept(self.default)

    def accept(self, value: object) -> Value:
        """Give a value as it is used. Raises InvalidValue, which names parameter, value and what is allowed."""
        return _ACCEPT[self.type](self, value)

    def read(self, text: str) -> Value:
        """Give the value that a text from a command line or a form stands for. Raises InvalidValue as accept()."""
        return self.accept(_READ.get(self.type, _as_it_is)(text))

    def to_dict(self) -> dict[str, Any]:
        """Give plain JSON data: only what differs from the defaults, and the type."""
        said: dict[str, Any] = {"description": self.description, "default": self.default}
        said |= {"required": self.is_required or None, "choices": list(self.choices)}
        said |= {"least": self.least, "most": self.most}
        return {"type": str(self.type)} | {name: value for name, value in said.items() if value not in (None, "", [])}

    @classmethod
    def from_dict(cls, name: str, data: object) -> Self:
        """Read what to_dict wrote, or a definition's file says. Raises InvalidValue."""
        given = {} if data is None else check.mapping(f"parameter {name}", data)
        for key in given.keys() - _KEYS:
            raise InvalidValue(f"parameter {name}", key, f"one of {', '.join(sorted(_KEYS))}")
        kind = given.pop("type", "string")
        if kind not in set(ParameterType):
            raise InvalidValue(f"parameter {name}.type", kind, f"one of {', '.join(ParameterType)}")
        if "required" in given:
            given["is_required"] = given.pop("required")
        if "choices" in given:
            given["choices"] = check.strings(f"parameter {name}.choices", given["choices"])
        return cls(name, ParameterType(kind), **given)

    def _where(self, part: str) -> str:
        return f"parameter {self.name}.{part}"

    def _check_choices(self) -> None:
        for one in check.strings(self._where("choices"), self.choices):
            check.text(self._where("choices"), one, 255)
        if len(set(self.choices)) != len(self.choices) or len(self.choices) > MOST_CHOICES:
            raise InvalidValue(self._where("choices"), self.choices, f"at most {MOST_CHOICES} choices, each once")
        if self.type is ParameterType.CHOICE and not self.choices:
            raise InvalidValue(self._where("choices"), "none", "at least one")
        if self.choices and self.type not in (ParameterType.CHOICE, ParameterType.SECRET):
            raise InvalidValue(self._where("choices"), self.choices, "none: they are for the types choice and secret")

    def _check_bounds(self) -> None:
        is_number = self.type in (ParameterType.INTEGER, ParameterType.NUMBER)
        for part, bound in (("least", self.least), ("most", self.most)):
            if bound is not None and not is_number:
                raise InvalidValue(self._where(part), bound, "none: it is for the types integer and number")
            check.optional_number(self._where(part), bound, least=-_MOST_NUMBER)
        if self.least is not None and self.most is not None and self.least > self.most:
            raise InvalidValue(self._where("least"), self.least, f"at most {self.most:g}")

    def allowed(self) -> str:
        """Say what its value may be, in one line for people."""
        if self.choices:
            return f"one of {', '.join(self.choices)}"
        words = _SAID[self.type]
        bounds = [f"{word} {bound:g}" for word, bound in (("from", self.least), ("to", self.most)) if bound is not None]
        return " ".join((words, *bounds))

    def refused(self, value: object) -> InvalidValue:
        """Give the error for a value that is not allowed."""
        return InvalidValue(f"parameter {self.name}", value, self.allowed())


_KEYS: Final = ({one.name for one in fields(Parameter)} - {"name", "is_required"}) | {"required"}
_MOST_NUMBER: Final = 1e308


def of_file(data: object) -> tuple[Parameter, ...]:
    """Read a mapping from names to what to_dict wrote. Raises InvalidValue."""
    given = {} if data is None else check.mapping("parameters", data)
    return tuple(Parameter.from_dict(name, said) for name, said in given.items())


def read_all(parameters: tuple[Parameter, ...], texts: Mapping[str, str]) -> dict[str, Value]:
    """Give the values that texts stand for. Raises InvalidValue for a name that no parameter has."""
    known = {one.name: one for one in parameters}
    for name in texts.keys() - known.keys():
        raise unknown(name, known)
    return {name: known[name].read(text) for name, text in texts.items()}


def unknown(name: str, known: Mapping[str, Parameter]) -> InvalidValue:
    """Give the error for a name that no parameter has."""
    return InvalidValue("parameter", name, f"one of {', '.join(known)}" if known else "none: this definition has none")


def shown(value: Value) -> str:
    """Give a value as the text that scripts get."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _text(parameter: Parameter, value: object) -> str:
    return check.text(f"parameter {parameter.name}", value, LONGEST_VALUE, may_be_empty=True)


def _integer(parameter: Parameter, value: object) -> int:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > MOST_WHOLE:
        raise parameter.refused(value)
    _check_within(parameter, value)
    return value


def _number(parameter: Parameter, value: object) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not -_MOST_NUMBER <= value <= _MOST_NUMBER:
        raise parameter.refused(value)
    _check_within(parameter, value)
    return value


def _check_within(parameter: Parameter, value: float) -> None:
    too_small = parameter.least is not None and value < parameter.least
    if too_small or (parameter.most is not None and value > parameter.most):
        raise parameter.refused(value)


def _boolean(parameter: Parameter, value: object) -> bool:
    if not isinstance(value, bool):
        raise parameter.refused(value)
    return value


def _choice(parameter: Parameter, value: object) -> str:
    if not isinstance(value, str) or value not in parameter.choices:
        raise parameter.refused(value)
    return value


def _secret(parameter: Parameter, value: object) -> str:
    if not isinstance(value, str) or not check.is_env_name(value) or len(value) > LONGEST_SECRET_NAME:
        # Not shown: somebody may have given the secret itself.
        raise parameter.refused("***")
    if parameter.choices and value not in parameter.choices:
        raise parameter.refused(value)
    return value


def _as_it_is(text: str) -> object:
    return text


def _read_number(text: str) -> object:
    try:
        return int(text) if text.strip().lstrip("+-").isdecimal() else float(text)
    except (ValueError, OverflowError):
        return text


def _read_boolean(text: str) -> object:
    return _WORDS.get(text.strip().lower(), text)


_ACCEPT: Final[dict[ParameterType, Callable[[Parameter, object], Value]]] = {
    ParameterType.STRING: _text,
    ParameterType.INTEGER: _integer,
    ParameterType.NUMBER: _number,
    ParameterType.BOOLEAN: _boolean,
    ParameterType.CHOICE: _choice,
    ParameterType.SECRET: _secret,
}
_READ: Final[dict[ParameterType, Callable[[str], object]]] = {
    ParameterType.INTEGER: _read_number,
    ParameterType.NUMBER: _read_number,
    ParameterType.BOOLEAN: _read_boolean,
}
_SAID: Final = {
    ParameterType.STRING: "text",
    ParameterType.INTEGER: "a whole number",
    ParameterType.NUMBER: "a number",
    ParameterType.BOOLEAN: "true or false",
    ParameterType.CHOICE: "a choice",
    ParameterType.SECRET: "the name of a secret: letters, digits and '_'",
}
