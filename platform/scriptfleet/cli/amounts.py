"""Durations and sizes as people write them, for argparse's ``type=``."""

import argparse
import math
import re
from typing import Final

_MOST_PORT, _MOST_COUNT = 65_535, 1_000_000
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?|\.\d+)(ms|s|m|h|d)?")
_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_SIZE: Final = re.compile(r"(\d+(?:\.\d+)?|\.\d+)([KMGT])(?:i?B)?", re.IGNORECASE)
_BYTES: Final = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


def duration(text: str) -> float:
    """Give seconds: ``90``, ``90s``, ``1.5m``, ``2h``, ``1d``, ``250ms``."""
    found = _DURATION.fullmatch(text.strip())
    seconds = float(found[1]) * _SECONDS[found[2] or "s"] if found else math.inf
    if not math.isfinite(seconds):
        raise argparse.ArgumentTypeError(f"{text!r} is not accepted: expected a time such as 90, 90s, 1.5m, 2h or 1d")
    return seconds


def size(text: str) -> int:
    """Give bytes: ``64K``, ``256M``, ``1.5G``; units are powers of 1024, and one must be named."""
    found = _SIZE.fullmatch(text.strip())
    amount = float(found[1]) * _BYTES[found[2].upper()] if found else math.inf
    if not math.isfinite(amount):
        raise argparse.ArgumentTypeError(f"{text!r} is not accepted: expected a size such as 64K, 256M or 1.5G")
    return round(amount)


def port(text: str) -> int:
    """Give a TCP port; 0 lets the system choose a free one."""
    if not text.isascii() or not text.isdigit() or int(text) > _MOST_PORT:
        raise argparse.ArgumentTypeError(f"{text!r} is not accepted: expected a port from 0 to 65535")
    return int(text)


def count(text: str) -> int:
    """Give a whole number from 1."""
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= _MOST_COUNT:
        raise argparse.ArgumentTypeError(f"{text!r} is not accepted: expected a whole number from 1")
    return int(text)


def pair(text: str) -> tuple[str, str]:
    """Give name and value of ``NAME=VALUE``; the value may be empty and may hold further ``=``."""
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not accepted: expected NAME=VALUE")
    return name, value
