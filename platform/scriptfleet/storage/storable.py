"""What a column can hold: text without NUL and lone surrogates, JSON without NaN, numbers of the column's type.

PostgreSQL refuses what SQLite would take; both are given the same, so that a run is never lost over a byte.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence

from scriptfleet.domain.process_tree import LONGEST_COMMAND, ProcessSeen, ProcessTree
from scriptfleet.domain.run import Artifact
from scriptfleet.domain.sample import Sample
from scriptfleet.domain.usage import MEASURES
from scriptfleet.errors import InvalidValue
from scriptfleet.storage.row import MEASURE_TYPES

LARGEST_INTEGER = 2**63 - 1
LARGEST_SMALL_INTEGER = 2**31 - 1
#: The last moment of the year 9999, milliseconds: nothing can show a later one.
LAST_MOMENT_MS = 253_402_300_799_999
SHA256 = r"[0-9a-f]{64}"
_is_sha256 = re.compile(SHA256).fullmatch
_OF_PROCESS = ("cpu_seconds", "memory_mb", "age_seconds")
_CUSTOM = "custom."
_NUL_SHOWN = "\N{SYMBOL FOR NULL}"


def text(value: object) -> str | None:
    """Give a string that a text column takes, None for None; anything else is refused."""
    if value is None:
        return None
    if not isinstance(value, str):
        raise InvalidValue("text", value, "a string")
    if value.isascii() and "\0" not in value:
        return value
    return value.encode("utf-8", "replace").decode().replace("\0", _NUL_SHOWN)


def needed_text(field: str, value: object) -> str:
    """Give a string that a text column takes; None and an empty one are refused."""
    found = text(value)
    if not found:
        raise InvalidValue(field, value, "something that is not empty")
    return found


def integer(field: str, value: object) -> int:
    """Accept a whole number of 64 bits."""
    return _whole(field, value, -LARGEST_INTEGER, LARGEST_INTEGER, "a whole number of 64 bits")


def small_integer(field: str, value: object) -> int:
    """Accept a whole number of 32 bits."""
    return _whole(field, value, -LARGEST_SMALL_INTEGER, LARGEST_SMALL_INTEGER, "a whole number of 32 bits")


def moment_ms(field: str, value: object) -> int:
    """Accept milliseconds since the epoch, up to the end of the year 9999."""
    return _whole(field, value, 0, LAST_MOMENT_MS, "milliseconds since the epoch, before the year 10000")


def _whole(field: str, value: object, least: int, most: int, expected: str) -> int:
    # True and false are numbers to Python, though not of this very type.
    if type(value) is int and least <= value <= most:
        return value
    raise InvalidValue(field, value, expected)


def sample(value: Sequence[object]) -> Sample:
    """Accept a point of a cost curve: its numbers finite, its bytes whole numbers or None."""
    *numbers, pids, read, written = value
    at, cpu, rss = (_finite("curve", number) for number in numbers)
    return Sample(at, cpu, rss, small_integer("curve", pids), _bytes_or_none(read), _bytes_or_none(written))


def process_tree(tree: ProcessTree) -> dict[str, object]:
    """Give a process tree as JSON data that can be kept; raises InvalidValue naming what cannot be."""
    kept = [_process(one) for one in tree.processes]
    seconds = _finite("process_tree.seconds", tree.seconds)
    return {"seconds": seconds, "count": small_integer("process_tree.count", tree.count), "processes": kept}


def _process(one: ProcessSeen) -> dict[str, object]:
    numbers = {name: _finite(f"process.{name}", getattr(one, name)) for name in _OF_PROCESS}
    pids = {name: integer(f"process.{name}", getattr(one, name)) for name in ("pid", "parent_pid")}
    return {**pids, "command": needed_text("process.command", one.command)[:LONGEST_COMMAND], **numbers}


def _bytes_or_none(value: object) -> int | None:
    return None if value is None else integer("curve", value)


def artifact(kept: Artifact) -> dict[str, object]:
    """Give a file that a run kept as the list in its row has it; raises InvalidValue naming what cannot be."""
    if not isinstance(kept.sha256, str) or not _is_sha256(kept.sha256):
        raise InvalidValue("artifact.sha256", kept.sha256, "64 hexadecimal digits")
    if integer("artifact.size_bytes", kept.size_bytes) < 0:
        raise InvalidValue("artifact.size_bytes", kept.size_bytes, "0 or more")
    return {**kept.to_dict(), "name": needed_text("artifact.name", kept.name)}


def json_value(value: object) -> object:
    """Give JSON data that a JSON column takes: numbers that are not finite become null."""
    if isinstance(value, float) and not is_finite(value):
        return None
    if isinstance(value, str):
        return text(value)
    if isinstance(value, Mapping):
        return {text(str(key)): json_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [json_value(item) for item in value]
    return value


def measures(usage: Mapping[str, object]) -> dict[str, object]:
    """Give the measures of a flat record that are known, as their columns take them.

    Names of a newer version are passed over. Raises InvalidValue naming a measure of another type.
    """
    found: dict[str, object] = {}
    for name, value in usage.items():
        if value is not None and (accept := _ACCEPT.get(name)):
            found[name] = accept(name, value)
    return found


def custom(usage: Mapping[str, object]) -> dict[str, object] | None:
    """Give what the script of a flat record reported itself, without what is no finite number; None for nothing."""
    found = {
        str(text(name.removeprefix(_CUSTOM))): value
        for name, value in usage.items()
        if name.startswith(_CUSTOM) and is_finite(value)
    }
    return found or None


def is_finite(value: object) -> bool:
    """Tell whether it is a number that a double can hold."""
    if type(value) is float:
        return math.isfinite(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        # A whole number beyond every double.
        return False


def _flag(name: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise InvalidValue(name, value, "true or false")
    return value


def _double(name: str, value: object) -> float | None:
    if type(value) is float:
        return value if math.isfinite(value) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidValue(name, value, "a number")
    return float(value) if is_finite(value) else None


def _finite(field: str, value: object) -> float:
    found = _double(field, value)
    if found is None:
        raise InvalidValue(field, value, "finite numbers")
    return found


def _word(_name: str, value: object) -> str | None:
    return text(value)


_ACCEPT_TYPE: dict[type, Callable[[str, object], object]] = {str: _word, bool: _flag, int: integer, float: _double}
_ACCEPT = {name: _ACCEPT_TYPE[MEASURE_TYPES[name]] for name in MEASURES}
