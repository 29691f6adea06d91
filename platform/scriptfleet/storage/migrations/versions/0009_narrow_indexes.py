"""Indexes of runs without what few queries need: run ids, which moments nearly always order alone, and rare series."""

from alembic import op

revision = "0009"
down_revision = "0008"

_INDEXES = {
    "job_id": ("job_id", "began_at"),
    "began_at": ("began_at",),
    "name": ("name", "began_at", "outcome", "execution_time_seconds", "cpu_max", "memory_max_mb"),
    "group_name": ("group_name", "began_at"),
    "worker": ("worker", "began_at"),
    "outcome": ("outcome", "began_at"),
}


def upgrade() -> None:
    for name, columns in _INDEXES.items():
        op.drop_index(f"ix_runs_{name}", "runs")
        op.create_index(f"ix_runs_{name}", "runs", columns)
