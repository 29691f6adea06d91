"""What a run kept: name, size and SHA-256 of each artifact. Runs from before show null."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    # With plain ALTER TABLE, which SQLite can do for a column that may be null: the table is not written anew.
    op.add_column("runs", sa.Column("artifacts", sa.JSON(none_as_null=True)))
