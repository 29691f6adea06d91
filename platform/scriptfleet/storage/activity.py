"""How many runs began when, and how they ended: what a chart of throughput is made of."""

from collections import defaultdict

import sqlalchemy as sa

from scriptfleet.domain.state import State
from scriptfleet.storage.engine import Database
from scriptfleet.storage.run_filter import of_outcomes
from scriptfleet.storage.tables import runs


def activity(database: Database, since: float, until: float, bucket_seconds: float) -> list[dict[str, int]]:
    """Give the runs that began in each bucket, by outcome, those under way as ``running``; raises StoreUnreachable.

    Moments are seconds since the epoch, ``since`` included; a bucket without runs is empty.
    """
    ratio = (runs.c.began_at - since) / bucket_seconds
    number = (sa.cast(ratio, sa.BigInteger) if database.is_sqlite else sa.func.floor(ratio)).label("number")
    is_within = (runs.c.began_at >= since) & (runs.c.began_at < until)
    wanted = sa.select(number, runs.c.outcome, sa.func.count()).where(is_within).group_by(number, runs.c.outcome)
    found: dict[int, dict[str, int]] = defaultdict(dict)
    with database.reading() as connection:
        for part in of_outcomes(wanted):
            for at, ended, count in connection.execute(part):
                found[int(at)][str(ended or State.RUNNING)] = int(count)
    return [found.get(at, {}) for at in range(int(-(-(until - since) // bucket_seconds)))]
