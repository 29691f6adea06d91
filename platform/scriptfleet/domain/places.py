"""Places of parameters in a spec, ``${params.NAME}``, and what stands there once values are known. Pure.

A value is never read again as something that acts:

- in a shell command line it is a variable of the environment, which the shell does not parse as code;
- in ``env`` what looks like a reference is escaped, since the worker resolves references there;
- in the address of an HTTP request it is percent-encoded;
- arguments are passed as they are, one place one argument; texts in a config, the name and labels are data.

``$${params.NAME}`` stands for a plain ``${params.NAME}``.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Final
from urllib.parse import quote

from scriptfleet.domain.job import JobSpec
from scriptfleet.domain.kinds import HTTP_REQUEST, SHELL
from scriptfleet.domain.parameter import Parameter, ParameterType, Value, shown
from scriptfleet.errors import InvalidValue

#: Variables of a shell command's environment that carry values are called so, with the parameter's name behind.
VARIABLE: Final = "SCRIPTFLEET_PARAM_"
_PLACE: Final = re.compile(r"\$\$\{params\.|\$\{params\.([^{}$]*)(\}?)")
_ESCAPE: Final = "$${params."
#: Shells whose variables are written ``${NAME}``.
_SHELLS: Final = frozenset({"sh", "bash", "zsh"})

_WITH_PLACES: Final = frozenset({"name", "labels", "args", "env", "config"})
#: Longer names are cut.
_LONGEST_NAME: Final = 255

Known = Mapping[str, Parameter]
Used = Mapping[str, Value | None]
#: Where a text stands in a spec, and the text.
_Spot = tuple[str, str]


def check_places(spec: JobSpec, known: Known) -> None:
    """Refuse places that name no parameter, are left open, or stand where nothing may. Raises InvalidValue."""
    _refuse_elsewhere(spec)
    for where, text in _texts(spec):
        for name in _names(where, text, known):
            if known[name].type is ParameterType.SECRET and not _may_hold_secret(where, spec):
                what = "a secret's place in env or in a shell command: elsewhere a secret would stand in clear"
                raise InvalidValue(where, f"${{params.{name}}}", what)
            if where == "config.command" and spec.config.get("shell", "sh") not in _SHELLS:
                what = f"a command line for one of {', '.join(sorted(_SHELLS))}, or the place in env"
                raise InvalidValue(where, f"${{params.{name}}}", what)


def _refuse_elsewhere(spec: JobSpec) -> None:
    # It would stay there as it is: a value is checked by what its field may be, which a place is not.
    rest = {name: said for name, said in spec.to_dict().items() if name not in _WITH_PLACES}
    for where, text in _texts_in("", rest):
        if any(match[1] is not None for match in _PLACE.finditer(text)):
            what = "no place here: each submit may say another one (places stand in name, labels, args, env, config)"
            raise InvalidValue(where.removeprefix("."), text, what)


def filled_spec(spec: JobSpec, known: Known, values: Used) -> JobSpec:
    """Give the spec with each place filled; None is empty, and an argument or variable of nothing else is left out."""
    args = [_filled_text(word, values) for word in spec.args if not _is_nothing(word, values)]
    env = {name: _in_env(text, known, values) for name, text in spec.env.items() if not _is_nothing(text, values)}
    config, carried = _config(spec, known, values)
    chosen = [values[one.name] for one in known.values() if one.type is ParameterType.SECRET]
    secrets = dict.fromkeys((*spec.secrets, *(str(name) for name in chosen if name is not None)))
    labels = {name: _filled_text(text, values) for name, text in spec.labels.items() if not _is_nothing(text, values)}
    return replace(
        spec,
        name=_filled_text(spec.name, values)[:_LONGEST_NAME],
        labels=labels,
        args=tuple(args),
        env={**env, **carried},
        config=config,
        secrets=tuple(secrets),
    )


def _texts(spec: JobSpec) -> Iterator[_Spot]:
    yield "name", spec.name
    yield from ((f"labels[{name}]", text) for name, text in spec.labels.items())
    yield from ((f"args[{at}]", word) for at, word in enumerate(spec.args))
    yield from ((f"env[{name}]", text) for name, text in spec.env.items())
    yield from _texts_in("config", spec.config)


def _texts_in(where: str, data: object) -> Iterator[_Spot]:
    if isinstance(data, str):
        yield where, data
    elif isinstance(data, Mapping):
        for name, item in data.items():
            yield from _texts_in(f"{where}.{name}", item)
    elif isinstance(data, list):
        for at, item in enumerate(data):
            yield from _texts_in(f"{where}[{at}]", item)


def _names(where: str, text: str, known: Known) -> Iterator[str]:
    for match in _PLACE.finditer(text):
        if match[1] is None:
            continue
        if not match[2]:
            raise InvalidValue(where, match[0], f"a parameter's name and }} after it (write {_ESCAPE} for plain text)")
        if match[1] not in known:
            expected = (
                f"the name of a parameter: {', '.join(known)}" if known else "parameters, of which there are none"
            )
            raise InvalidValue(where, match[0], expected)
        yield match[1]


def _may_hold_secret(where: str, spec: JobSpec) -> bool:
    return where.startswith("env[") or (where == "config.command" and spec.kind == SHELL)


def _is_nothing(text: str, values: Used) -> bool:
    """Tell whether a text is one place alone, of a parameter that nothing stands for."""
    match = _PLACE.fullmatch(text)
    return match is not None and bool(match[2]) and values[match[1]] is None


def _filled_text(text: str, values: Used) -> str:
    return _PLACE.sub(lambda match: _ESCAPE[1:] if match[1] is None else _said(values[match[1]]), text)


def _said(value: Value | None) -> str:
    return "" if value is None else shown(value)


def _config(spec: JobSpec, known: Known, values: Used) -> tuple[dict[str, Any], dict[str, str]]:
    """Give the config, and the variables that carry values into a command line."""
    config: dict[str, Any] = _filled_data(spec.config, values)
    carried: dict[str, str] = {}
    if spec.kind == SHELL and "command" in config:
        fill = partial(_carry, known=known, values=values, carried=carried)
        config["command"] = _PLACE.sub(fill, spec.config["command"])
    if spec.kind == HTTP_REQUEST:
        config["url"] = _PLACE.sub(partial(_encoded, values=values), spec.config["url"])
    return config, carried


def _filled_data(data: Any, values: Used) -> Any:
    if isinstance(data, Mapping):
        return {name: _filled_data(item, values) for name, item in data.items() if not _is_left_out(item, values)}
    if isinstance(data, list):
        return [_filled_data(item, values) for item in data if not _is_left_out(item, values)]
    if not isinstance(data, str):
        return data
    # One place alone is the value itself: a number stays a number.
    whole = _PLACE.fullmatch(data)
    return values[whole[1]] if whole is not None and whole[2] else _filled_text(data, values)


def _is_left_out(data: object, values: Used) -> bool:
    return isinstance(data, str) and _is_nothing(data, values)


def _carry(match: re.Match[str], known: Known, values: Used, carried: dict[str, str]) -> str:
    name = match[1]
    if name is None:
        return _ESCAPE[1:]
    if known[name].type is ParameterType.SECRET:
        # The worker puts the secret into the environment under its own name.
        return "" if values[name] is None else f"${{{values[name]}}}"
    carried[VARIABLE + name] = _escaped(_said(values[name]))
    return f"${{{VARIABLE}{name}}}"


def _encoded(match: re.Match[str], values: Used) -> str:
    return _ESCAPE[1:] if match[1] is None else quote(_said(values[match[1]]), safe="")


def _in_env(text: str, known: Known, values: Used) -> str:
    """Give a variable's text, in which the worker is still to resolve references: what values hold is escaped."""
    built, at = "", 0
    for match in _PLACE.finditer(text):
        built = _joined(built, text[at : match.start()])
        built = _joined(built, match[0] if match[1] is None else _reference_or_value(match[1], known, values))
        at = match.end()
    return _joined(built, text[at:])


def _reference_or_value(name: str, known: Known, values: Used) -> str:
    value = values[name]
    if known[name].type is ParameterType.SECRET and value is not None:
        return f"${{{value}}}"
    return _escaped(_said(value))


def _escaped(value: str) -> str:
    return value.replace("${", "$${")


def _joined(left: str, right: str) -> str:
    if left.endswith("$") and right.startswith("${"):
        raise InvalidValue("parameter value", "$", "a value that does not end in $: a reference follows it in env")
    # A dollar that ends one piece and a brace that begins the next are no reference.
    return f"{left}${right}" if left.endswith("$") and right.startswith("{") else left + right
