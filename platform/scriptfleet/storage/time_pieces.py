"""Pieces of time of one width, numbered from the epoch on, as SQL: what runs are grouped by."""

import sqlalchemy as sa

from scriptfleet.storage.tables import runs


def piece_number(dialect: str, width_seconds: int) -> sa.ColumnElement[int]:
    """Give the number of the piece in which a run began; those before 1970 are negative."""
    # Written out: PostgreSQL takes two parameters of one value for two expressions.
    ratio = runs.c.began_at / sa.literal_column(f"{width_seconds}.0")
    if dialect != "sqlite":
        return sa.cast(sa.func.floor(ratio), sa.BigInteger)
    # SQLite need not have been built with floor(); a cast goes towards zero.
    whole = sa.cast(ratio, sa.BigInteger)
    return whole - sa.cast(whole > ratio, sa.Integer)
