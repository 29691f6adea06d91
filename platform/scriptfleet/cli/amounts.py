"""Durations and sizes as people write them, for an option's ``type=``."""

import math
import re
from typing import Final

from scriptfleet.domain.check import LONGEST_SECONDS

_MOST_PORT, _MOST_COUNT = 65_535, 1_000_000
#: A century: histories and calendars end somewhere.
_MOST_DAYS = 36_500
#: Between two readings of a run.
LEAST_INTERVAL_SECONDS, MOST_INTERVAL_SECONDS = 0.01, 3600.0
_ALL_PERCENT = 100.0
_MOST_DIGITS = 9
_NUMBER: Final = r"[0-9]{1,15}(?:\.[0-9]{1,15})?"
_INTEGER: Final = r"[+-]?[0-9]{1,30}"
_DURATION: Final = r"(\d+(?:\.\d+)?|\.\d+)(ms|s|m|h|d)?"
_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_SIZE: Final = r"(?i:(\d+(?:\.\d+)?|\.\d+)([KMGT])(?:i?B)?)"
_BYTES: Final = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_MOST_BYTES = 1 << 50


class NotAccepted(Exception):
    """What was written for an option is not of its form: the text, and what would be."""


def duration(text: str) -> float:
    """Give seconds: ``90``, ``90s``, ``1.5m``, ``2h``, ``1d``, ``250ms``."""
    found = re.fullmatch(_DURATION, text.strip())
    seconds = float(found[1]) * _SECONDS[found[2] or "s"] if found else math.inf
    if not math.isfinite(seconds):
        raise NotAccepted(f"{text!r} is not accepted: expected a time such as 90, 90s, 1.5m, 2h or 1d")
    if seconds > LONGEST_SECONDS:
        raise NotAccepted(f"{text!r} is not accepted: expected at most 3650d")
    return seconds


def span(text: str) -> float:
    """Give seconds above 0."""
    seconds = duration(text)
    if not seconds:
        raise NotAccepted(f"{text!r} is not accepted: expected a time above 0, such as 90s or 2h")
    return seconds


def every(text: str) -> float:
    """Give the seconds between two slots of a schedule."""
    if len(text.split()) > 1 or "*" in text or text.startswith("@"):
        raise NotAccepted(f"{text!r}: cron expressions are not supported yet: give a time such as 5m")
    return span(text)


def interval(text: str) -> float:
    """Give the seconds between two readings of a run."""
    seconds = duration(text)
    if not LEAST_INTERVAL_SECONDS <= seconds <= MOST_INTERVAL_SECONDS:
        raise NotAccepted(f"{text!r} is not accepted: expected a time from 10ms to 1h")
    return seconds


def size(text: str) -> int:
    """Give bytes: ``64K``, ``256M``, ``1.5G``; units are powers of 1024, and one must be named."""
    found = re.fullmatch(_SIZE, text.strip())
    amount = float(found[1]) * _BYTES[found[2].upper()] if found else math.inf
    if not math.isfinite(amount):
        raise NotAccepted(f"{text!r} is not accepted: expected a size such as 64K, 256M or 1.5G")
    if amount > _MOST_BYTES:
        raise NotAccepted(f"{text!r} is not accepted: expected at most 1024T")
    return round(amount)


def port(text: str) -> int:
    """Give a TCP port; 0 lets the system choose a free one."""
    if not text.isascii() or not text.isdigit() or len(text) > _MOST_DIGITS or int(text) > _MOST_PORT:
        raise NotAccepted(f"{text!r} is not accepted: expected a port from 0 to 65535")
    return int(text)


def count(text: str) -> int:
    """Give a whole number from 1."""
    return _whole(text, _MOST_COUNT)


def whole(text: str) -> int:
    """Give a whole number, also below 0; whoever takes it checks its range."""
    if re.fullmatch(_INTEGER, text) is None:
        raise NotAccepted(f"{text!r} is not accepted: expected a whole number")
    return int(text)


def days(text: str) -> int:
    """Give days, from 1 to a century."""
    return _whole(text, _MOST_DAYS)


def _whole(text: str, most: int) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > _MOST_DIGITS or not 1 <= int(text) <= most:
        raise NotAccepted(f"{text!r} is not accepted: expected a whole number from 1 to {most:,}")
    return int(text)


def priority(text: str) -> int:
    """Give a whole number; the job checks its range."""
    if not text.isascii() or not text.isdigit() or len(text) > _MOST_DIGITS:
        raise NotAccepted(f"{text!r} is not accepted: expected a whole number from 0 to 9")
    return int(text)


def percent(text: str) -> float:
    """Give a percentage above 0, at most 100."""
    found = re.fullmatch(_NUMBER, text)
    if found is None or not 0 < float(text) <= _ALL_PERCENT:
        raise NotAccepted(f"{text!r} is not accepted: expected a number above 0, at most 100")
    return float(text)


def factor(text: str) -> float:
    """Give a plain number from 0."""
    if re.fullmatch(_NUMBER, text) is None:
        raise NotAccepted(f"{text!r} is not accepted: expected a number such as 2 or 1.5")
    return float(text)


def names(text: str) -> tuple[str, ...]:
    """Give the parts of a comma list."""
    found = tuple(part.strip() for part in text.split(",") if part.strip())
    if not found:
        raise NotAccepted(f"{text!r} is not accepted: expected names with commas between them")
    return found


def header(text: str) -> tuple[str, str]:
    """Give name and value of ``NAME: VALUE``."""
    name, colon, value = text.partition(":")
    if not name.strip() or not colon:
        raise NotAccepted(f"{text!r} is not accepted: expected NAME: VALUE")
    return name.strip(), value.strip()


def pair(text: str) -> tuple[str, str]:
    """Give name and value of ``NAME=VALUE``; the value may be empty and may hold further ``=``."""
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise NotAccepted(f"{text!r} is not accepted: expected NAME=VALUE")
    return name, value
