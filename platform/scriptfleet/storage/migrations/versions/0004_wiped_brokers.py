"""What it takes to submit a job again after its broker was wiped: the signature, when it is due, the broker's epoch."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    # With plain ALTER TABLE, which SQLite can do for columns that may be null: the table is not written anew.
    op.add_column("jobs", sa.Column("signature", sa.Text))
    op.add_column("jobs", sa.Column("is_spec_whole", sa.Boolean))
    op.add_column("jobs", sa.Column("due_at", sa.Double))
    op.create_table(
        "brokers",
        sa.Column("namespace", sa.Text, nullable=False),
        sa.Column("epoch", sa.Text, nullable=False),
        sa.Column("stored_until", sa.Double, nullable=False),
        sa.Column("wiped_at", sa.Double),
        sa.PrimaryKeyConstraint("namespace", name="pk_brokers"),
    )
