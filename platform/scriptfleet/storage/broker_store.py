"""What the store knows of the broker: its epoch, how far its events are stored, and whether it was wiped."""

from dataclasses import dataclass

import sqlalchemy as sa

from scriptfleet.storage.engine import Database
from scriptfleet.storage.tables import brokers


@dataclass(frozen=True, slots=True)
class BrokerRow:
    """A broker. Moments are its own clock, seconds since the epoch."""

    epoch: str
    #: Every event from before this moment is stored.
    stored_until: float
    #: When the loss of the epoch before was noticed; None once its jobs are restored.
    wiped_at: float | None


class BrokerStore:
    """The row of one namespace. Each method raises StoreUnreachable."""

    def __init__(self, database: Database, namespace: str) -> None:
        self._database, self._namespace = database, namespace

    def get(self) -> BrokerRow | None:
        """Give what is known; None for a broker that was never met."""
        wanted = sa.select(brokers.c.epoch, brokers.c.stored_until, brokers.c.wiped_at).where(self._is_ours())
        with self._database.reading() as connection:
            row = connection.execute(wanted).one_or_none()
        return None if row is None else BrokerRow(*row)

    def meet(self, epoch: str, now: float) -> None:
        """Note a broker that was never met; whoever came first stands."""
        insert = self._database.insert_into(brokers).on_conflict_do_nothing()
        with self._database.writing() as connection:
            values = {"namespace": self._namespace, "epoch": epoch, "stored_until": now}
            connection.execute(insert, values)

    def change_epoch(self, before: str, after: str, wiped_at: float | None) -> bool:
        """Note another epoch, and when the loss was noticed; give False when another service has noted one."""
        return self._update(brokers.c.epoch == before, epoch=after, wiped_at=wiped_at)

    def note_stored(self, epoch: str, until: float) -> None:
        """Note that every event from before this moment is stored."""
        is_later = (brokers.c.epoch == epoch) & brokers.c.wiped_at.is_(None) & (brokers.c.stored_until < until)
        self._update(is_later, stored_until=until)

    def note_restored(self, epoch: str, now: float) -> bool:
        """Note that the jobs lost with the epoch before are restored; give False when that was noted already."""
        is_open = (brokers.c.epoch == epoch) & brokers.c.wiped_at.is_not(None)
        return self._update(is_open, wiped_at=None, stored_until=now)

    def _update(self, where: sa.ColumnElement[bool], **values: str | float | None) -> bool:
        with self._database.writing() as connection:
            return connection.execute(sa.update(brokers).where(self._is_ours(), where).values(values)).rowcount == 1

    def _is_ours(self) -> sa.ColumnElement[bool]:
        return brokers.c.namespace == self._namespace
