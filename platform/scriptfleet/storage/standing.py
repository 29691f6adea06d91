"""Where jobs stand, by group and name: counts of states, and the newest job of each name."""

import sqlalchemy as sa

from scriptfleet.domain.state import State
from scriptfleet.storage.engine import Database
from scriptfleet.storage.tables import jobs

#: Group, or None, and state.
Standing = tuple[str | None, State]


def counts(database: Database, group: str | None = None) -> dict[Standing, int]:
    """Give how many jobs of each group, or of one, are in each state. Raises StoreUnreachable."""
    wanted = sa.select(jobs.c.group_name, jobs.c.state, sa.func.count()).group_by(jobs.c.group_name, jobs.c.state)
    if group is not None:
        wanted = wanted.where(jobs.c.group_name == group)
    with database.reading() as connection:
        return {(name, State(state)): int(count) for name, state, count in connection.execute(wanted)}


def newest_states(
    database: Database, group: str | None = None, name: str | None = None
) -> dict[tuple[str | None, str], State]:
    """Give the state of the newest job of each group and name. Raises StoreUnreachable."""
    newest_first = (jobs.c.submitted_at.desc(), jobs.c.job_id.desc())
    place = sa.func.row_number().over(partition_by=(jobs.c.group_name, jobs.c.name), order_by=newest_first)
    placed = sa.select(jobs.c.group_name, jobs.c.name, jobs.c.state, place.label("place"))
    placed = placed.where(jobs.c.name.is_not(None))
    for column, value in ((jobs.c.group_name, group), (jobs.c.name, name)):
        if value is not None:
            placed = placed.where(column == value)
    found = placed.subquery()
    wanted = sa.select(found.c.group_name, found.c.name, found.c.state).where(found.c.place == 1)
    with database.reading() as connection:
        return {(of, named): State(state) for of, named, state in connection.execute(wanted)}
