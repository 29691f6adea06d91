"""Checks at the edge: each gives the value back in its plain form or raises InvalidValue naming field and value."""

import math
from collections.abc import Mapping
from typing import Any, TypeGuard

from scriptfleet.errors import InvalidValue

_LONGEST_SHORT_NAME = 64
_JOINTS_DROPPED = dict.fromkeys(map(ord, "_.-"))
#: Ten years; longer ones are slips of the hand, and clocks and calendars end somewhere.
LONGEST_SECONDS = 3650 * 86_400.0
#: The year 9999: calendars know none after it.
_LAST_MOMENT = 253_370_764_800.0


def text(field: str, value: object, longest: int = 4096, may_be_empty: bool = False) -> str:
    """Accept a string that UTF-8 can carry, without NUL, up to ``longest`` characters."""
    if not isinstance(value, str):
        raise InvalidValue(field, value, "a string")
    if "\0" in value or not is_utf8(value):
        raise InvalidValue(field, value, "text without NUL bytes or lone surrogates")
    if not may_be_empty and not value.strip():
        raise InvalidValue(field, value, "something that is not empty")
    if len(value) > longest:
        raise InvalidValue(field, value, f"at most {longest} characters, not {len(value)}")
    return value


def optional_text(field: str, value: object, longest: int = 4096) -> str | None:
    """Accept None or a text."""
    return None if value is None else text(field, value, longest)


def number(field: str, value: object, least: float = 0.0, most: float = math.inf, above: bool = False) -> float:
    """Accept a finite number in [least, most], or (least, most] with ``above``."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not _is_finite(value):
        raise InvalidValue(field, value, "a finite number")
    if value < least or value > most or (above and value == least):
        wanted = f"a number {'above' if above else 'from'} {least:g}"
        raise InvalidValue(field, value, wanted if most == math.inf else f"{wanted} to {most:g}")
    return float(value)


def optional_number(
    field: str, value: object, least: float = 0.0, most: float = math.inf, above: bool = False
) -> float | None:
    """Accept None or a number."""
    return None if value is None else number(field, value, least, most, above=above)


def duration(field: str, value: object, least: float = 0.0, above: bool = False) -> float:
    """Accept seconds, at most 3650 days."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidValue(field, value, "seconds as a number")
    if _is_finite(value) and value > LONGEST_SECONDS:
        raise InvalidValue(field, value, f"at most 3650 days, {LONGEST_SECONDS:.0f} seconds")
    return number(field, value, least, above=above)


def optional_duration(field: str, value: object, above: bool = False) -> float | None:
    """Accept None or seconds."""
    return None if value is None else duration(field, value, above=above)


def optional_moment(field: str, value: object) -> float | None:
    """Accept None or seconds since the epoch, before the year 9999."""
    return None if value is None else number(field, value, most=_LAST_MOMENT)


def integer(field: str, value: object, least: int, most: int) -> int:
    """Accept a whole number in [least, most]."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise InvalidValue(field, value, f"a whole number from {least} to {most}")
    return value


def optional_integer(field: str, value: object, least: int, most: int) -> int | None:
    """Accept None or a whole number in range."""
    return None if value is None else integer(field, value, least, most)


def queue_name(value: object, field: str = "queue") -> str:
    """Accept a queue's name."""
    return short_name(field, value)


def short_name(field: str, value: object) -> str:
    """Accept a name that addresses, file systems and shells take as it is."""
    if not is_short_name(value):
        raise InvalidValue(field, value, "1 to 64 letters, digits, '_', '-' or '.', the first a letter or digit")
    return value


def is_short_name(value: object) -> TypeGuard[str]:
    """Tell whether it is 1 to 64 letters of English, digits, '_', '-' or '.', the first a letter or digit."""
    if not isinstance(value, str) or not value.isascii() or not value[:1].isalnum():
        return False
    return len(value) <= _LONGEST_SHORT_NAME and value.translate(_JOINTS_DROPPED).isalnum()


def is_env_name(value: str) -> bool:
    """Tell whether a variable may be called so: letters of English, digits and '_', the first no digit."""
    return value.isascii() and value.isidentifier()


def is_utf8(value: str) -> bool:
    """Tell whether UTF-8 can carry it: whether no half of a character stands in it alone."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def strings(field: str, value: object) -> tuple[str, ...]:
    """Accept a list or tuple of strings; a bare string is refused, since it is usually a mistake."""
    if not isinstance(value, list | tuple):
        raise InvalidValue(field, value, "a list of strings")
    return tuple(text(f"{field}[{at}]", item, longest=131_072, may_be_empty=True) for at, item in enumerate(value))


def environment(field: str, value: object) -> dict[str, str]:
    """Accept a mapping of environment variables."""
    found = mapping(field, value)
    for name, content in found.items():
        if not is_env_name(name):
            raise InvalidValue(field, name, "names of letters, digits and '_' that do not begin with a digit")
        text(f"{field}[{name}]", content, longest=131_072, may_be_empty=True)
    return found


def labels(field: str, value: object) -> dict[str, str]:
    """Accept a mapping of short strings."""
    found = mapping(field, value)
    return {text(field, key, 64): text(f"{field}[{key}]", item, 256, may_be_empty=True) for key, item in found.items()}


def mapping(field: str, value: object) -> dict[str, Any]:
    """Accept a mapping whose keys are strings."""
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise InvalidValue(field, value, "a mapping with string keys")
    return dict(value)


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:
        # A whole number that no float can hold.
        return False
