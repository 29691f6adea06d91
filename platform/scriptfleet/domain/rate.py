"""A rate: at most so many starts within any window of so long."""

import re
from typing import Final, Self

from scriptfleet.domain.value import value
from scriptfleet.errors import InvalidValue

#: Every start within the window is remembered.
MOST_JOBS: Final = 10_000
LONGEST_WINDOW_SECONDS: Final = 30 * 86_400.0
_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_FORM: Final = r"([0-9]{1,6})/(?:([0-9]{1,9}(?:\.[0-9]{1,3})?)?(ms|s|m|h|d))"
_LEAST_WINDOW_SECONDS: Final = 0.01


@value(frozen=True, slots=True)
class Rate:
    """So many jobs start within any ``window_seconds``, and never more."""

    jobs: int
    window_seconds: float

    @classmethod
    def parse(cls, field: str, said: object) -> Self:
        """Read ``10/1m``, ``100/h`` or ``5/30s``. Raises InvalidValue."""
        found = re.fullmatch(_FORM, said) if isinstance(said, str) else None
        if found is None:
            raise InvalidValue(field, said, "jobs and a time, such as 10/1m, 100/h or 5/30s")
        jobs, window = int(found[1]), float(found[2] or 1) * _UNITS[found[3]]
        if not 1 <= jobs <= MOST_JOBS:
            raise InvalidValue(field, said, f"1 to {MOST_JOBS:,} jobs")
        if not _LEAST_WINDOW_SECONDS <= window <= LONGEST_WINDOW_SECONDS:
            raise InvalidValue(field, said, "a time from 10ms to 30d")
        return cls(jobs, window)
