"""Indexes that have runs in the very order of a list, ids and all, and all that a script's series shows.

Without the ids, PostgreSQL went through the runs of all scripts by moment to find the newest ones of one, and SQLite
read whole runs to sort those of a label.
"""

from alembic import op

revision = "0010"
down_revision = "0009"

_SERIES = (
    "outcome",
    "execution_time_seconds",
    "cpu_max",
    "cpu_avg",
    "user_time_seconds",
    "system_time_seconds",
    "memory_max_mb",
    "queue_wait_seconds",
)
_INDEXES = {
    "job_id": ("job_id", "began_at", "run_id"),
    "began_at": ("began_at", "run_id"),
    "name": ("name", "began_at", "run_id", *_SERIES),
    "group_name": ("group_name", "began_at", "run_id"),
    "worker": ("worker", "began_at", "run_id"),
    "outcome": ("outcome", "began_at", "run_id"),
}


def upgrade() -> None:
    for name, columns in _INDEXES.items():
        op.drop_index(f"ix_runs_{name}", "runs")
        op.create_index(f"ix_runs_{name}", "runs", columns)
