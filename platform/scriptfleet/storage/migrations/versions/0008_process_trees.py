"""The processes that a run had when they were most, beside its curve. Runs from before show none."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.add_column("curves", sa.Column("process_tree", sa.LargeBinary))
