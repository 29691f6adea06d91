"""What the list of runs can be asked for, as its form and its links say it."""

from datetime import UTC, datetime
from typing import Annotated, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict

from scriptfleet.domain.state import State
from scriptfleet.errors import InvalidValue
from scriptfleet.results.rest.models import label_of, seconds_of
from scriptfleet.storage.run_filter import RunFilter
from scriptfleet.storage.run_list import Wish
from scriptfleet.storage.sorted_runs import SortBy

#: The columns that the list is sorted by.
SORTS: Final = {SortBy.START: "Started (UTC)", SortBy.WALL: "Wall", SortBy.CPU: "CPU", SortBy.MEMORY: "Peak memory"}
_FIELDS: Final = {
    "search": "Name has",
    "name": "Script",
    "queue": "Queue",
    "worker": "Worker",
    "group": "Group",
    "label": "Label",
    "since": "Since",
    "until": "Until",
}


class ListQuery(BaseModel):
    """Which runs, in which order. Empty fields of the form mean any."""

    model_config = ConfigDict(extra="forbid")

    search: str = ""
    name: str = ""
    queue: str = ""
    worker: str = ""
    group: str = ""
    label: str = ""
    since: str = ""
    until: str = ""
    outcome: Annotated[State | None, BeforeValidator(lambda said: said or None)] = None
    sort: SortBy = SortBy.START
    order: Literal["desc", "asc"] = "desc"
    cursor: str | None = None

    def wish(self) -> Wish:
        """Give what the store takes; raises InvalidValue."""
        which = RunFilter(
            name=self.name or None,
            queue=self.queue or None,
            worker=self.worker or None,
            group_name=self.group or None,
            label=label_of(self.label or None),
            since=utc_seconds("since", self.since),
            until=utc_seconds("until", self.until),
            outcome=self.outcome,
        )
        return Wish(which, self.search.strip() or None, self.sort, self.order == "asc")

    def said(self) -> list[tuple[str, str, str]]:
        """Give each field that is filled in, what people call it, and its value."""
        found = [(name, what, getattr(self, name)) for name, what in _FIELDS.items() if getattr(self, name)]
        return [*found, *([("outcome", "Outcome", self.outcome.replace("_", " "))] if self.outcome else [])]

    def said_all(self) -> dict[str, str | None]:
        """Give all fields as an address says them; those that say what holds anyway are None."""
        fields = {name: getattr(self, name) for name in _FIELDS}
        sort = None if self.sort is SortBy.START else str(self.sort)
        order = None if self.order == "desc" else self.order
        return {**fields, "outcome": self.outcome, "sort": sort, "order": order, "cursor": self.cursor}

    def moment_field(self, name: str) -> str:
        """Give a moment as a browser's field takes it."""
        return field_moment(name, str(getattr(self, name)))


def field_moment(field: str, said: str) -> str:
    """Give a moment as a browser's field takes it, in UTC; what can't be read as it was said."""
    try:
        seconds = utc_seconds(field, said)
    except InvalidValue:
        return said
    return "" if seconds is None else f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}"


def utc_seconds(field: str, said: str) -> float | None:
    """Read what a field for a moment says, in seconds since the epoch; None for nothing. Raises InvalidValue."""
    # A browser's field for a moment gives no offset: pages speak of UTC.
    clock = said.partition("T")[2]
    is_local = clock != "" and not clock.endswith("Z") and not {"+", "-"} & set(clock)
    return seconds_of(field, f"{said}Z" if is_local else said or None)
