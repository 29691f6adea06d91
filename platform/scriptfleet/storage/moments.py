"""Moments as callers give them: days, ISO 8601, datetimes, seconds since the epoch. Without an offset they are UTC."""

import re
from datetime import UTC, date, datetime, timedelta

from scriptfleet.domain import check
from scriptfleet.errors import InvalidValue

Moment = str | float | date | datetime | None

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_EXPECTED = "YYYY-MM-DD, a moment as ISO 8601, a datetime or seconds since the epoch"


def start_of(field: str, value: Moment) -> float | None:
    """Give seconds since the epoch; a day is its first moment. Raises InvalidValue."""
    return _seconds(field, value, timedelta())


def end_of(field: str, value: Moment) -> float | None:
    """Give seconds since the epoch, not included; a day is included to its end. Raises InvalidValue."""
    return _seconds(field, value, timedelta(days=1))


def iso(seconds: float) -> str:
    """Give a moment as ISO 8601, UTC."""
    # To write the offset of an aware one out takes as long as all the rest, and answers have ten thousands of moments.
    return f"{datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None).isoformat()}+00:00"


def _seconds(field: str, value: Moment, of_day: timedelta) -> float | None:
    if value is None:
        return None
    if isinstance(value, int | float):
        return check.number(field, value)
    try:
        if isinstance(value, str):
            value = date.fromisoformat(value) if _DAY.fullmatch(value) else datetime.fromisoformat(value)
        if isinstance(value, datetime):
            return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
        return (datetime(value.year, value.month, value.day, tzinfo=UTC) + of_day).timestamp()
    except (ValueError, TypeError, AttributeError, OverflowError) as fault:
        raise InvalidValue(field, value, _EXPECTED) from fault
