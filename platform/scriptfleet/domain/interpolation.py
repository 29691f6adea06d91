"""``${NAME}`` in the variables of a job: what a reference stands for, and which cannot be resolved. Pure."""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from scriptfleet.errors import InvalidValue

#: The escape, or a reference; without the closing brace it is one that was left open.
_REFERENCE: Final = r"\$\$\{|\$\{([^{}$]*)(\}?)"
_OUTPUTS: Final = "outputs."
#: The kernel takes no longer value of one variable.
_LONGEST: Final = 131_072


def interpolate(
    variables: Mapping[str, str], known: Mapping[str, str], outputs: Mapping[str, object]
) -> dict[str, str]:
    """Give the variables with every ``${NAME}`` replaced; ``$${`` stands for a plain ``${``.

    A name is looked for among the variables themselves, then in ``known`` (inherited variables, secrets, facts such
    as ``sys.hostname``), then, as ``outputs.NODE.key``, in ``outputs``. A variable that names itself means the known
    one of that name, so that ``PATH=/opt/bin:${PATH}`` adds to it. Values of ``known`` and ``outputs`` are taken as
    they are. Raises InvalidValue for a name that is nowhere defined, for a loop, and for a value that grows beyond
    131,072 characters.
    """
    if not any("${" in value for value in variables.values()):
        return dict(variables)
    found: dict[str, str] = {}
    for name in _in_order(variables, known):
        found[name] = _resolved(name, variables[name], found, known, outputs)
    return {name: found[name] for name in variables}


def _in_order(variables: Mapping[str, str], known: Mapping[str, str]) -> Sequence[str]:
    """Give the names so that each comes after those it refers to."""
    # Few jobs have references.
    from graphlib import CycleError, TopologicalSorter  # noqa: PLC0415

    graph = {
        name: [used for used in _references(value) if used in variables and (used != name or name not in known)]
        for name, value in variables.items()
    }
    try:
        return list(TopologicalSorter(graph).static_order())
    except CycleError as fault:
        # It gives each node before the one that refers to it.
        chain = " → ".join(reversed(fault.args[1]))
        raise InvalidValue(
            f"env[{fault.args[1][-1]}]", chain, "variables that do not lead back to themselves"
        ) from fault


def _references(value: str) -> list[str]:
    return [match[1] for match in re.finditer(_REFERENCE, value) if match[2]]


def _resolved(
    variable: str, value: str, found: Mapping[str, str], known: Mapping[str, str], outputs: Mapping[str, object]
) -> str:
    pieces: list[str] = []
    at, size = 0, len(value)
    for match in re.finditer(_REFERENCE, value):
        meant = _meaning(variable, match, found, known, outputs)
        pieces += (value[at : match.start()], meant)
        at = match.end()
        size += len(meant)
        # What it stands for may be a secret: the message shows the reference alone.
        if size > _LONGEST or "\0" in meant:
            allowed = f"text without NUL bytes, of at most {_LONGEST:,} characters in all"
            raise InvalidValue(f"env[{variable}]", match[0], allowed)
    return "".join((*pieces, value[at:]))


def _meaning(
    variable: str,
    match: re.Match[str],
    found: Mapping[str, str],
    known: Mapping[str, str],
    outputs: Mapping[str, object],
) -> str:
    name = match[1]
    if name is None:
        return "${"
    if not match[2]:
        raise InvalidValue(f"env[{variable}]", match[0], "a name and } after ${ (write $${ for a plain ${)")
    # A variable that names itself is not found yet, and so means the known one.
    meant = found.get(name, known.get(name))
    if meant is None:
        meant = _output(name, outputs)
    if meant is None:
        raise InvalidValue(f"env[{variable}]", match[0], f"a name that is defined: {name} is not {_among(known)}")
    return meant


def _output(name: str, outputs: Mapping[str, object]) -> str | None:
    """Give the value at ``outputs.NODE.key``, of deeper data at ``outputs.NODE.key.key``; JSON unless it is text."""
    if not name.startswith(_OUTPUTS):
        return None
    here: object = outputs
    for key in name.removeprefix(_OUTPUTS).split("."):
        if not isinstance(here, Mapping) or key not in here:
            return None
        here = here[key]
    if isinstance(here, str):
        return here
    # Most outputs are text.
    import json  # noqa: PLC0415

    return json.dumps(here, ensure_ascii=False)


def _among(known: Mapping[str, str]) -> str:
    facts = ", ".join(sorted(name for name in known if "." in name))
    return f"a variable of the job, one it inherits, a secret it names, {facts or 'a fact'} or outputs.NODE.key"
