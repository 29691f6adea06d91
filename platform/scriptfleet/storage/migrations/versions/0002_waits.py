"""What a run waited for: CPU quotas, CPU, memory, I/O. Runs from before show null."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_ADDED = ("cpu_throttled_seconds", "cpu_stalled_seconds", "memory_stalled_seconds", "io_stalled_seconds")


def upgrade() -> None:
    # With plain ALTER TABLE, which SQLite can do for columns that may be null: the table is not written anew.
    for name in _ADDED:
        op.add_column("runs", sa.Column(name, sa.Double))
