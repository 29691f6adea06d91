"""What a job of kind file_operation may say in its config."""

import re
from typing import Any, Final

from scriptfleet.domain import check
from scriptfleet.errors import InvalidValue

_LONGEST_CONTENT: Final = 1024 * 1024
_MODE = r"0?[0-7]{3}"

#: What each operation needs, and the options it knows.
OPERATIONS: Final[dict[str, tuple[frozenset[str], frozenset[str]]]] = {
    "copy": (frozenset({"source", "destination"}), frozenset({"overwrite", "recursive", "mode", "missing_ok"})),
    "move": (frozenset({"source", "destination"}), frozenset({"overwrite", "mode", "missing_ok"})),
    "delete": (frozenset({"source"}), frozenset({"recursive", "missing_ok"})),
    "create": (frozenset({"destination"}), frozenset({"overwrite", "recursive", "content", "mode"})),
}


def check_operation(config: dict[str, Any]) -> None:
    """Refuse an operation that cannot be done. Raises InvalidValue."""
    operation = config.get("operation")
    if operation not in OPERATIONS:
        raise InvalidValue("config.operation", operation, f"one of {', '.join(OPERATIONS)}")
    needed, known = OPERATIONS[operation]
    for name in ("source", "destination"):
        if name in needed:
            check.text(f"config.{name}", config.get(name))
        elif name in config:
            raise InvalidValue(f"config.{name}", config[name], f"none: {operation} has no {name}")
    options = check.mapping("config.options", config.get("options", {}))
    for name in options.keys() - known:
        raise InvalidValue(f"config.options of {operation}", name, f"one of {', '.join(sorted(known))}")
    _check_options(options)


def _check_options(options: dict[str, Any]) -> None:
    for name in options.keys() & {"overwrite", "recursive", "missing_ok"}:
        if not isinstance(options[name], bool):
            raise InvalidValue(f"config.options.{name}", options[name], "true or false")
    if "content" in options:
        check.text("config.options.content", options["content"], _LONGEST_CONTENT, may_be_empty=True)
    if "mode" in options and not re.fullmatch(_MODE, check.text("config.options.mode", options["mode"], 4)):
        raise InvalidValue("config.options.mode", options["mode"], "an octal mode as text, such as 0644")
