"""The index of a script's runs has their outcomes too, which are counted for each of its days."""

from alembic import op

revision = "0009"
down_revision = "0008"

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


def upgrade() -> None:
    op.drop_index("ix_runs_name", "runs")
    op.create_index("ix_runs_name", "runs", ["name", "began_at", "run_id", *_SERIES])
