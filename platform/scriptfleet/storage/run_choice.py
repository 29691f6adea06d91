"""Chooses runs by one index, whatever else is asked of them, and by a bounded number of its entries."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import sqlalchemy as sa

from scriptfleet.domain.state import State
from scriptfleet.storage.run_filter import RunFilter
from scriptfleet.storage.tables import labels, runs

#: How many runs of one index are looked through for those that all the rest holds of; the newest ones.
MOST_LOOKED_AT: Final = 50_000
#: Jobs of a label that are fewer are found by their ids.
_FEW_JOBS: Final = 1_000
#: The index that is gone by is that of the first one which is asked for.
_LEADERS: Final = ("job_id", "name", "worker", "group_name")
_OTHERS: Final = ("queue", "kind")

Condition = sa.ColumnElement[bool]


@dataclass(frozen=True, slots=True)
class Choice:
    """Conditions on runs."""

    conditions: tuple[Condition, ...]
    #: Whether older runs were left out unseen.
    is_cut: bool

    def chosen(self, columns: Sequence[Any]) -> sa.Select[Any]:
        """Select these columns of the runs."""
        return sa.select(*columns).where(*self.conditions)

    def newest(self, columns: Sequence[Any]) -> sa.Select[Any]:
        """Select these columns of the runs, the last begun first."""
        return self.chosen(columns).order_by(runs.c.began_at.desc(), runs.c.run_id.desc())


def choices_of(
    connection: sa.Connection, which: RunFilter, names: Sequence[str] | None, *, any_outcome: bool = False
) -> list[Choice]:
    """Give a choice for each of the names, or one for all where ``names`` is None."""
    outcome = None if any_outcome else which.outcome
    if names is None:
        return [_choice(connection, which, outcome, MOST_LOOKED_AT)]
    names = [name for name in names if which.name in (None, name)]
    most = MOST_LOOKED_AT // max(1, len(names))
    return [_choice(connection, replace(which, name=name), outcome, most) for name in names]


def _choice(connection: sa.Connection, which: RunFilter, outcome: State | None, most: int) -> Choice:
    lead, rest = _leader(connection, which, outcome)
    span = _span(which)
    if not rest:
        return Choice((*lead, *span), is_cut=False)
    newest = sa.select(runs.c.began_at).where(*lead, *span).order_by(runs.c.began_at.desc())
    floor = connection.scalar(newest.offset(most).limit(1))
    looked_at = () if floor is None else (runs.c.began_at >= floor,)
    return Choice((*lead, *rest, *span, *looked_at), is_cut=floor is not None)


def _leader(
    connection: sa.Connection, which: RunFilter, outcome: State | None
) -> tuple[list[Condition], list[Condition]]:
    """Give the condition that an index finds, none for that of the moment, and the other ones."""
    asked = [(name, getattr(which, name)) for name in _LEADERS if getattr(which, name) is not None]
    lead = [runs.c[name] == value for name, value in asked[:1]]
    others = [*asked[1:], *((name, getattr(which, name)) for name in _OTHERS)]
    rest = [_said(runs.c[name], value) for name, value in others if value is not None]
    if which.label is not None:
        jobs = None if lead else _few_jobs(connection, *which.label)
        (rest if jobs is None else lead).append(_labelled(which.label, jobs))
    if outcome is not None:
        (rest if lead else lead).append(_of_outcome(outcome, is_lead=not lead))
    return lead, rest


def _said(column: sa.Column[Any], value: str) -> Condition:
    # Said so, it is no column of an index: a database that went by it would not go by the leader, whose bound holds.
    return sa.func.coalesce(column, "") == value


def _of_outcome(outcome: State, *, is_lead: bool) -> Condition:
    if not is_lead:
        return sa.func.coalesce(runs.c.outcome, str(State.RUNNING)) == str(outcome)
    return runs.c.outcome.is_(None) if outcome is State.RUNNING else runs.c.outcome == outcome


def _few_jobs(connection: sa.Connection, name: str, value: str) -> list[str] | None:
    wanted = sa.select(labels.c.job_id).where(labels.c.name == name, labels.c.value == value).limit(_FEW_JOBS + 1)
    jobs = [str(one) for one in connection.scalars(wanted)]
    return jobs if len(jobs) <= _FEW_JOBS else None


def _labelled(label: tuple[str, str], jobs: list[str] | None) -> Condition:
    if jobs is not None:
        return runs.c.job_id.in_(jobs)
    same = (labels.c.job_id == runs.c.job_id, labels.c.name == label[0], labels.c.value == label[1])
    return sa.select(sa.literal(1)).where(*same).correlate(runs).exists()


def _span(which: RunFilter) -> list[Condition]:
    since = [] if which.since is None else [runs.c.began_at >= which.since]
    return since if which.until is None else [*since, runs.c.began_at < which.until]
