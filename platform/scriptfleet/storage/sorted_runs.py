"""A list of one script's runs from segments: by a value that is no index's, and how many there are of each outcome."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from enum import StrEnum
from itertools import islice
from typing import Final

import sqlalchemy as sa

from scriptfleet.domain.state import State
from scriptfleet.storage.paging import PageRequest, place_of
from scriptfleet.storage.run_filter import RunFilter
from scriptfleet.storage.run_order import newest, stretches_of

#: What is sorted by cost, and what is counted, is the newest so many of the runs that were asked for.
MOST_SORTED: Final = 10_000
#: Before and after every value there is: what is not known comes last.
LEAST, GREATEST = -1.0, 1e300


class SortBy(StrEnum):
    """What a list is ordered by."""

    START = "start"
    WALL = "wall"
    CPU = "cpu"
    MEMORY = "memory"


#: The measures whose sum it is.
SUMMED: Final[dict[SortBy, tuple[str, ...]]] = {
    SortBy.WALL: ("execution_time_seconds",),
    SortBy.CPU: ("user_time_seconds", "system_time_seconds"),
    SortBy.MEMORY: ("memory_max_mb",),
}


def sorted_page(
    connection: sa.Connection, which: RunFilter, by: SortBy, is_ascending: bool, request: PageRequest
) -> tuple[list[tuple[float, str]], bool] | None:
    """Give values and ids of a page and of one run more, and whether older runs were left out; None where rows tell.

    Ids stand in the order of their code points where values are the same.
    """
    found = stretches_of(connection, which)
    if found is None:
        return None
    told = list(islice(newest(connection, which, found, SUMMED[by]), MOST_SORTED + 1))
    unknown = GREATEST if is_ascending else LEAST
    keys = [(_sum(values, unknown), run_id) for _, run_id, *values in told[:MOST_SORTED]]
    if request.cursor is not None:
        place = place_of(request.cursor)
        keys = [one for one in keys if (one > place if is_ascending else one < place)]
    return sorted(keys, reverse=not is_ascending)[: request.limit + 1], len(told) > MOST_SORTED


def newest_outcomes(connection: sa.Connection, which: RunFilter) -> tuple[dict[str, int], bool] | None:
    """Count the newest runs by outcome, and tell whether there are more; None where rows tell."""
    which = replace(which, outcome=None)
    found = stretches_of(connection, which)
    if found is None:
        return None
    told = [outcome for *_, outcome in islice(newest(connection, which, found, ["outcome"]), MOST_SORTED + 1)]
    counts = Counter(told[:MOST_SORTED])
    return {str(name or State.RUNNING): count for name, count in counts.items()}, len(told) > MOST_SORTED


def _sum(values: Sequence[float | None], unknown: float) -> float:
    known = [value for value in values if value is not None]
    return float(sum(known)) if len(known) == len(values) else unknown
