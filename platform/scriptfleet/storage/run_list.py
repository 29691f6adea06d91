"""Lists of runs as people ask for them: by part of a name, in an order of their own.

However many runs there are, the database looks at a bounded number of them, and the answer says where that shows.
"""

from dataclasses import dataclass, field
from functools import reduce
from operator import add
from typing import Any, Final

import sqlalchemy as sa

from scriptfleet.domain import check
from scriptfleet.domain.state import State
from scriptfleet.storage.engine import Database
from scriptfleet.storage.paging import Page, PageRequest, cursor_of, place_of
from scriptfleet.storage.run_choice import MOST_LOOKED_AT, Choice, choices_of
from scriptfleet.storage.run_filter import RunFilter
from scriptfleet.storage.run_store import RunRow, RunStore
from scriptfleet.storage.script_names import names_with
from scriptfleet.storage.sorted_runs import (
    GREATEST,
    LEAST,
    MOST_SORTED,
    SUMMED,
    SortBy,
    newest_outcomes,
    sorted_page,
)
from scriptfleet.storage.tables import runs

_VALUES: Final[dict[SortBy, sa.ColumnElement[Any]]] = {
    by: reduce(add, (runs.c[name] for name in names)) for by, names in SUMMED.items()
}


@dataclass(frozen=True, slots=True)
class Wish:
    """Which runs, and in which order."""

    which: RunFilter = field(default_factory=RunFilter)
    #: Part of the script's name; None for any.
    search: str | None = None
    by: SortBy = SortBy.START
    is_ascending: bool = False

    def __post_init__(self) -> None:
        check.optional_text("search", self.search, 255)


@dataclass(frozen=True, slots=True)
class FoundRuns:
    """A page of a list, and what it leaves out."""

    page: Page[RunRow]
    #: How many scripts were searched for, None where no name was; there are more where ``has_more_scripts``.
    scripts: int | None = None
    has_more_scripts: bool = False
    #: Sorted are only so many runs, the newest ones - of each script, if several; None where all are.
    sorted_runs: int | None = None
    #: Only so many runs were looked through, the newest ones - of each script, if several; None where all were.
    looked_at_runs: int | None = None


@dataclass(frozen=True, slots=True)
class Counts:
    """How many runs there are of each outcome; those under way are ``running``."""

    by_outcome: dict[str, int]
    #: Whether there are more: these are the newest ``MOST_SORTED`` - of each script its share, if several - alone.
    is_cut: bool


class RunList:
    """Reads lists of runs. Each method raises StoreUnreachable."""

    def __init__(self, database: Database) -> None:
        self._database, self._runs = database, RunStore(database)

    def page(self, wish: Wish, request: PageRequest) -> FoundRuns:
        """Give one page; raises InvalidValue for a bad cursor."""
        found = self._page_of_a_script(wish, request) if wish.search is None and wish.which.name is not None else None
        return found or self._page_of_rows(wish, request)

    def _page_of_a_script(self, wish: Wish, request: PageRequest) -> FoundRuns | None:
        if wish.by is SortBy.START:
            page = None if wish.is_ascending else self._runs.page_of_a_script(wish.which, request)
            return None if page is None else FoundRuns(page)
        with self._database.snapshot() as connection:
            found = sorted_page(connection, wish.which, wish.by, wish.is_ascending, request)
        if found is None:
            return None
        keys, is_cut = found
        shown = keys[: request.limit]
        cursor = cursor_of(*shown[-1]) if len(keys) > len(shown) else None
        rows = self._runs.several([run_id for _, run_id in shown])
        return FoundRuns(Page(rows, cursor), sorted_runs=MOST_SORTED if is_cut else None)

    def _page_of_rows(self, wish: Wish, request: PageRequest) -> FoundRuns:
        with self._database.reading() as connection:
            scripts = names_with(connection, wish.search) if wish.search else None
            parts = choices_of(connection, wish.which, scripts.names if scripts else None)
            query = _Query(wish, request, parts, connection.dialect.name)
            rows = connection.execute(query.statement()).all() if parts else []
        shown = rows[: request.limit]
        cursor = cursor_of(shown[-1].value, shown[-1].run_id) if len(rows) > len(shown) else None
        return FoundRuns(
            Page(self._runs.several([row.run_id for row in shown]), cursor),
            scripts=len(scripts.names) if scripts else None,
            has_more_scripts=scripts is not None and scripts.is_cut,
            sorted_runs=query.limit if query.limit is not None and rows and rows[0].most > query.limit else None,
            looked_at_runs=MOST_LOOKED_AT // len(parts) if any(one.is_cut for one in parts) else None,
        )

    def counts(self, wish: Wish) -> Counts:
        """Count the runs of each outcome, whatever outcome is asked for."""
        if wish.search is None and wish.which.name is not None:
            with self._database.snapshot() as connection:
                told = newest_outcomes(connection, wish.which)
            if told is not None:
                return Counts(*told)
        with self._database.reading() as connection:
            scripts = names_with(connection, wish.search) if wish.search else None
            parts = choices_of(connection, wish.which, scripts.names if scripts else None, any_outcome=True)
            if not parts:
                return Counts({}, is_cut=False)
            most = MOST_SORTED // len(parts)
            outcome = sa.func.coalesce(runs.c.outcome, str(State.RUNNING)).label("outcome")
            found = _together([_placed(one, outcome, most + 1) for one in parts]).c
            count = sa.func.count(sa.case((found.place <= most, 1))).label("runs")
            counted = sa.select(found.outcome, count, sa.func.max(found.place).label("most")).group_by(found.outcome)
            rows = connection.execute(counted).all()
        return Counts({str(row.outcome): row.runs for row in rows if row.runs}, any(row.most > most for row in rows))


class _Query:
    """Builds the statement that gives ids and values of a page, and of one run more."""

    def __init__(self, wish: Wish, request: PageRequest, parts: list[Choice], dialect: str) -> None:
        self._wish, self._request, self._parts = wish, request, parts
        # In the order that sorted_runs.py has them in, since a list may go on from there.
        self._has_own_order = dialect == "postgresql" and wish.by is not SortBy.START
        #: Of how many runs of each part the values are read; None where the index has the order.
        self.limit = None if wish.by is SortBy.START else MOST_SORTED // max(1, len(parts))

    def statement(self) -> sa.Select[Any]:
        found = _together([self._part(one) for one in self._parts]).c
        if self.limit is None:
            return self._in_order(sa.select(found.run_id, found.value), found.value, found.run_id)
        # How many were found of the part that has most: one too many shows that there are more.
        most = sa.func.max(found.place).over().label("most")
        all_of = sa.select(found.run_id, found.value, found.place, most).subquery().c
        wanted = sa.select(all_of.run_id, all_of.value, all_of.most).where(all_of.place <= self.limit)
        return self._in_order(wanted, all_of.value, all_of.run_id)

    def _part(self, choice: Choice) -> sa.Select[Any]:
        """Give the runs of a choice that may be on the page."""
        if self.limit is None:
            wanted = choice.chosen([runs.c.run_id, runs.c.began_at.label("value")])
            return self._in_order(wanted, runs.c.began_at, runs.c.run_id)
        unknown = GREATEST if self._wish.is_ascending else LEAST
        value = sa.func.coalesce(_VALUES[self._wish.by], unknown).label("value")
        return _placed(choice, value, self.limit + 1)

    def _in_order(
        self, wanted: sa.Select[Any], value: sa.ColumnElement[Any], run_id: sa.ColumnElement[Any]
    ) -> sa.Select[Any]:
        run_id = run_id.collate("C") if self._has_own_order else run_id
        both = sa.tuple_(value, run_id)
        is_ascending = self._wish.is_ascending
        if self._request.cursor is not None:
            place = sa.tuple_(*(sa.literal(one) for one in place_of(self._request.cursor)))
            wanted = wanted.where(both > place if is_ascending else both < place)
        order = (value.asc(), run_id.asc()) if is_ascending else (value.desc(), run_id.desc())
        return wanted.order_by(*order).limit(self._request.limit + 1)


def _placed(choice: Choice, value: sa.Label[Any], count: int) -> sa.Select[Any]:
    """Give the newest runs of a choice, each with its ``place``: 1 is the last begun."""
    newest = choice.newest([runs.c.run_id, runs.c.began_at, value]).limit(count).subquery().c
    place = sa.func.row_number().over(order_by=[newest.began_at.desc(), newest.run_id.desc()]).label("place")
    return sa.select(newest.run_id, newest[value.name], place)


def _together(parts: list[sa.Select[Any]]) -> sa.Subquery:
    # A part has a limit of its own, which SQLite takes in a subquery alone.
    inner = [part.subquery() for part in parts]
    return inner[0] if len(inner) == 1 else sa.union_all(*(sa.select(one) for one in inner)).subquery()
