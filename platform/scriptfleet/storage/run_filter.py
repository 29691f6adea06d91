"""Which runs are meant, and what that says of their table."""

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from scriptfleet.domain import check
from scriptfleet.domain.state import FINAL, State
from scriptfleet.storage.tables import labels, runs


@dataclass(frozen=True, slots=True)
class RunFilter:
    """Which runs; None means any. ``since`` is included, ``until`` is not."""

    job_id: str | None = None
    name: str | None = None
    kind: str | None = None
    queue: str | None = None
    worker: str | None = None
    group_name: str | None = None
    #: A label of its job: name and value.
    label: tuple[str, str] | None = None
    outcome: State | None = None
    since: float | None = None
    until: float | None = None

    def __post_init__(self) -> None:
        for name in _EQUAL:
            check.optional_text(name, getattr(self, name), 255)
        check.optional_number("since", self.since)
        check.optional_number("until", self.until)


_EQUAL = ("job_id", "name", "kind", "queue", "worker", "group_name")


def conditions_of(which: RunFilter) -> list[sa.ColumnElement[bool]]:
    """Give what a filter says of the table of runs."""
    found = [runs.c[name] == getattr(which, name) for name in _EQUAL if getattr(which, name) is not None]
    if which.outcome is not None:
        found.append(_of_outcome(which.outcome, is_narrowed=bool(found)))
    if which.label is not None:
        found.append(_labelled(which.label, is_narrowed=bool(found)))
    if which.since is not None:
        found.append(runs.c.began_at >= which.since)
    if which.until is not None:
        found.append(runs.c.began_at < which.until)
    return found


def _labelled(label: tuple[str, str], is_narrowed: bool) -> sa.ColumnElement[bool]:
    same = (labels.c.name == label[0], labels.c.value == label[1])
    if not is_narrowed:
        return runs.c.job_id.in_(sa.select(labels.c.job_id).where(*same))
    # Job by job, rather than all jobs of a label for the few of them that are asked for.
    return sa.select(sa.literal(1)).where(labels.c.job_id == runs.c.job_id, *same).correlate(runs).exists()


def of_outcomes(wanted: sa.Select[Any]) -> list[sa.Select[Any]]:
    """Give selects for the runs that ended and those under way, which find a span of time in the index of outcomes."""
    ended = runs.c.outcome.in_(sorted(str(state) for state in FINAL))
    return [wanted.where(ended), wanted.where(runs.c.outcome.is_(None))]


def _of_outcome(outcome: State, is_narrowed: bool) -> sa.ColumnElement[bool]:
    if is_narrowed:
        # Nearly all runs succeed. Said so, it is no column of an index: SQLite, which does not know how common a value
        # is, might go through all that succeeded to find those of one script.
        return sa.func.coalesce(runs.c.outcome, str(State.RUNNING)) == str(outcome)
    return runs.c.outcome.is_(None) if outcome is State.RUNNING else runs.c.outcome == outcome
