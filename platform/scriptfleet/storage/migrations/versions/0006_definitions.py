"""Definitions: what is submitted again and again, by name, with parameters."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.create_table(
        "definitions",
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("spec", sa.Text),
        sa.Column("parameters", sa.Text),
        sa.Column("description", sa.Text, nullable=False),
        sa.Column("content", sa.LargeBinary),
        sa.Column("changed_by", sa.Text, nullable=False),
        sa.Column("changed_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("name", "version", name="pk_definitions"),
    )
