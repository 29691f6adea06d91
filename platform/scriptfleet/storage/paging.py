"""Pages of a list, newest first, by key: a page stays right while new rows come in before it."""

import base64
import binascii
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import sqlalchemy as sa

from scriptfleet.domain import check
from scriptfleet.errors import InvalidValue

MOST_ROWS = 500

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """Some rows, and where the next ones begin."""

    items: list[Item]
    #: Give it back to get the next page; None when this is the last.
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class PageRequest:
    """How many rows, and after which."""

    limit: int = 50
    cursor: str | None = None

    def __post_init__(self) -> None:
        check.integer("limit", self.limit, 1, MOST_ROWS)


def read_page(
    connection: sa.Connection,
    wanted: sa.Select[Any],
    order: tuple[sa.Column[Any], sa.Column[Any]],
    request: PageRequest,
    build: Callable[[sa.Row[Any]], Item],
) -> Page[Item]:
    """Read one page, newest first by ``order``, a moment and an id; raises InvalidValue for a bad cursor."""
    moment, key = order
    if request.cursor is not None:
        after_moment, after_key = place_of(request.cursor)
        wanted = wanted.where(sa.tuple_(moment, key) < sa.tuple_(sa.literal(after_moment), sa.literal(after_key)))
    # One row more than asked for tells whether there is a next page.
    rows = connection.execute(wanted.order_by(moment.desc(), key.desc()).limit(request.limit + 1)).all()
    shown = rows[: request.limit]
    return Page([build(row) for row in shown], _cursor_after(shown, order) if len(rows) > len(shown) else None)


def _cursor_after(rows: Sequence[sa.Row[Any]], order: tuple[sa.Column[Any], sa.Column[Any]]) -> str:
    last = rows[-1]._mapping
    return cursor_of(last[order[0]], last[order[1]])


def cursor_of(value: float, key: str) -> str:
    """Give the cursor of the page after a row, by what it is ordered by and its id."""
    return base64.urlsafe_b64encode(json.dumps([value, key]).encode()).decode().rstrip("=")


def place_of(cursor: str) -> tuple[float, str]:
    """Read what cursor_of() wrote; raises InvalidValue."""
    try:
        moment, key = json.loads(base64.urlsafe_b64decode(cursor.encode() + b"=" * (-len(cursor) % 4)))
        return check.number("cursor", moment, -math.inf), check.text("cursor", key)
    except (ValueError, TypeError, RecursionError, binascii.Error) as fault:
        raise InvalidValue("cursor", cursor, "the next_cursor of an earlier answer") from fault
