"""Which scripts there are: found by part of their name, in the index of runs, whatever number of runs each has."""

from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa

from scriptfleet.storage.tables import runs

#: Of how many names a part is looked for: some 5 µs each.
MOST_LOOKED_AT: Final = 20_000
#: Runs of so many scripts are listed together.
MOST_FOUND: Final = 100


@dataclass(frozen=True, slots=True)
class ScriptNames:
    """Names in their order; not all of them where ``is_cut``."""

    names: tuple[str, ...]
    is_cut: bool


def names_with(connection: sa.Connection, part: str) -> ScriptNames:
    """Give the names that have ``part`` in them, in capitals or not."""
    folded = part.casefold()
    looked_at = first_names(connection)
    found = [name for name in looked_at if folded in name.casefold()]
    return ScriptNames(tuple(found[:MOST_FOUND]), len(found) > MOST_FOUND or len(looked_at) == MOST_LOOKED_AT)


def first_names(connection: sa.Connection) -> list[str]:
    """Give the names there are, in their order, up to ``MOST_LOOKED_AT`` of them."""
    return list(connection.scalars(_names()))


def _names() -> sa.Select[Any]:
    # Each step is one search of the index for the next name. DISTINCT would read the entry of every run.
    first = sa.select(sa.func.min(runs.c.name).label("name"))
    steps = first.cte("steps", recursive=True)
    following = sa.select(sa.func.min(runs.c.name)).where(runs.c.name > steps.c.name).scalar_subquery()
    steps = steps.union_all(sa.select(following).where(steps.c.name.is_not(None)))
    return sa.select(steps.c.name).where(steps.c.name.is_not(None)).limit(MOST_LOOKED_AT)
