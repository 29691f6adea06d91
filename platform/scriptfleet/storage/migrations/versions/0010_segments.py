"""Segments: the metrics of runs by column, for queries over many; what changes a run marks the one that it is in.

The triggers are part of the schema, so that a service of an older version marks them too.
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"

#: What segments hold of a run.
_KEPT = (
    "name",
    "kind",
    "queue",
    "group_name",
    "worker",
    "outcome",
    "began_at",
    "success",
    "custom",
    "execution_time_seconds",
    "exit_code",
    "signal",
    "cpu_max",
    "cpu_avg",
    "cpu_min",
    "user_time_seconds",
    "system_time_seconds",
    "memory_max_mb",
    "memory_avg_mb",
    "memory_min_mb",
    "memory_charged_max_mb",
    "page_faults_minor",
    "page_faults_major",
    "num_threads",
    "num_fds",
    "pids_count",
    "voluntary_context_switches",
    "involuntary_context_switches",
    "block_io_read_bytes",
    "block_io_write_bytes",
    "network_rx_bytes",
    "network_tx_bytes",
    "memory_limit_mb",
    "memory_percent",
    "cpu_throttled_seconds",
    "cpu_stalled_seconds",
    "memory_stalled_seconds",
    "io_stalled_seconds",
    "stdout_lines",
    "stderr_lines",
    "stdout_size_bytes",
    "stderr_size_bytes",
    "gpu_util_max",
    "gpu_memory_max_mb",
    "queue_wait_seconds",
    "start_overhead_seconds",
)

# No segment ends after this moment: most rows are newer, and are looked at no further.
_LAST = "(SELECT max(until_at) FROM segments)"


def upgrade() -> None:
    op.create_table(
        "segments",
        sa.Column("segment_id", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("from_at", sa.Double, nullable=False),
        sa.Column("until_at", sa.Double, nullable=False),
        sa.Column("runs", sa.Integer, nullable=False),
        sa.Column("state", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("segment_id", name="pk_segments"),
    )
    op.create_index("ix_segments_name", "segments", ["name", "until_at"])
    op.create_index("ix_segments_until_at", "segments", ["until_at"])
    op.create_table(
        "segment_columns",
        sa.Column("segment_id", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("count", sa.Integer, nullable=False),
        sa.Column("packed", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("segment_id", "name", name="pk_segment_columns"),
    )
    op.create_table(
        "upkeep",
        sa.Column("task", sa.Text, nullable=False),
        sa.Column("next_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("task", name="pk_upkeep"),
    )
    make = _for_sqlite if op.get_bind().dialect.name == "sqlite" else _for_postgresql
    for statement in make():
        op.execute(sa.text(statement))


def _for_sqlite() -> list[str]:
    changed = " OR ".join(f"OLD.{name} IS NOT NEW.{name}" for name in _KEPT)
    moved = f"(OLD.began_at < {_LAST} OR NEW.began_at < {_LAST}) AND ({changed})"
    return [
        f"CREATE TRIGGER runs_inserted AFTER INSERT ON runs WHEN NEW.began_at < {_LAST} BEGIN {_mark('NEW')} END",
        f"CREATE TRIGGER runs_deleted AFTER DELETE ON runs WHEN OLD.began_at < {_LAST} BEGIN {_mark('OLD')} END",
        f"CREATE TRIGGER runs_updated AFTER UPDATE OF {', '.join(_KEPT)} ON runs "
        f"WHEN {moved} BEGIN {_mark('OLD')} {_mark('NEW')} END",
    ]


def _mark(row: str) -> str:
    return (
        f"UPDATE segments SET state = 0 WHERE name = {row}.name AND until_at > {row}.began_at "  # noqa: S608
        f"AND from_at <= {row}.began_at AND state > 0;"
    )


def _for_postgresql() -> list[str]:
    kept = [*(name for name in _KEPT if name != "custom"), "custom::text"]
    before, after = (", ".join(f"{row}.{name}" for name in kept) for row in ("before", "after"))
    both = (
        "SELECT unnest(ARRAY[before.name, after.name]) AS name, "  # noqa: S608
        "unnest(ARRAY[before.began_at, after.began_at]) AS began_at "
        "FROM runs_before before JOIN runs_after after USING (run_id) "
        f"WHERE (before.began_at < {_LAST} OR after.began_at < {_LAST}) AND ({before}) IS DISTINCT FROM ({after})"
    )
    old = f"SELECT name, began_at FROM runs_before WHERE began_at < {_LAST}"  # noqa: S608
    new = f"SELECT name, began_at FROM runs_after WHERE began_at < {_LAST}"  # noqa: S608
    said = (
        ("inserted", "INSERT", "NEW TABLE AS runs_after", new),
        ("deleted", "DELETE", "OLD TABLE AS runs_before", old),
        ("updated", "UPDATE", "OLD TABLE AS runs_before NEW TABLE AS runs_after", both),
    )
    # What is compressed already is not compressed again.
    found = ["ALTER TABLE segment_columns ALTER COLUMN packed SET STORAGE EXTERNAL"]
    for name, act, tables, changed in said:
        found.append(
            f"CREATE FUNCTION runs_{name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "  # noqa: S608
            # In one order, so that two writers do not wait for each other.
            "UPDATE segments SET state = 0 WHERE segment_id IN (SELECT one.segment_id FROM segments one "
            f"JOIN ({changed}) changed ON one.name = changed.name AND one.until_at > changed.began_at "
            "AND one.from_at <= changed.began_at WHERE one.state > 0 ORDER BY one.segment_id FOR UPDATE OF one); "
            "RETURN NULL; END $$"
        )
        found.append(
            f"CREATE TRIGGER runs_{name} AFTER {act} ON runs REFERENCING {tables} "
            f"FOR EACH STATEMENT EXECUTE FUNCTION runs_{name}()"
        )
    return found
