"""Segments hold labels and ids too: what changes a label of a job, or takes it away, marks the segments of its runs.

A label comes in the transaction that names the runs of its job, which marks them: so new ones, of which most jobs have
some, need not be looked at.

Segments that were made before are known by their state, and are made anew.
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"

# No segment ends after this moment.
_LAST = "(SELECT max(until_at) FROM segments)"
#: A label never goes to another job.
_SAID = (("deleted", "DELETE", "OLD"), ("updated", "UPDATE", "NEW"))


def upgrade() -> None:
    make = _for_sqlite if op.get_bind().dialect.name == "sqlite" else _for_postgresql
    for statement in make():
        op.execute(sa.text(statement))


def _for_sqlite() -> list[str]:
    return [
        f"CREATE TRIGGER labels_{name} AFTER {act} ON labels WHEN {_has_old_runs(row)} BEGIN {_mark(row)} END"
        for name, act, row in _SAID
    ]


def _has_old_runs(row: str) -> str:
    return f"EXISTS (SELECT 1 FROM runs WHERE job_id = {row}.job_id AND began_at < {_LAST})"  # noqa: S608


def _mark(row: str) -> str:
    return (
        "UPDATE segments SET state = 0 WHERE state > 0 AND segment_id IN (SELECT one.segment_id FROM runs "  # noqa: S608
        "JOIN segments one ON one.name = runs.name AND one.until_at > runs.began_at AND one.from_at <= runs.began_at "
        f"WHERE runs.job_id = {row}.job_id);"
    )


def _for_postgresql() -> list[str]:
    found = []
    for name, act, version in _SAID:
        found.append(
            f"CREATE FUNCTION labels_{name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "  # noqa: S608
            "UPDATE segments SET state = 0 WHERE segment_id IN (SELECT one.segment_id FROM "
            "(SELECT DISTINCT job_id FROM labels_changed) changed "
            # Job by job by the index: PostgreSQL, not knowing how few there are, might go through all runs.
            "CROSS JOIN LATERAL (SELECT name, began_at FROM runs WHERE runs.job_id = changed.job_id "
            f"AND began_at < {_LAST} OFFSET 0) begun "
            "JOIN segments one ON one.name = begun.name AND one.until_at > begun.began_at "
            # In one order, so that two writers do not wait for each other.
            "AND one.from_at <= begun.began_at WHERE one.state > 0 ORDER BY one.segment_id FOR UPDATE OF one); "
            "RETURN NULL; END $$"
        )
        found.append(
            f"CREATE TRIGGER labels_{name} AFTER {act} ON labels REFERENCING {version} TABLE AS labels_changed "
            f"FOR EACH STATEMENT EXECUTE FUNCTION labels_{name}()"
        )
    return found
