"""How long entries of the audit log are kept, and the end of those that are older."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import sqlalchemy as sa

from scriptfleet.storage.archive import ArchiveWriter, new_archive
from scriptfleet.storage.engine import Database
from scriptfleet.storage.retention_policy import PRESETS, Policy
from scriptfleet.storage.tables import audit

_DAY_SECONDS: Final = 86_400
#: Entries a transaction: writers of the fleet wait for it on SQLite.
_AT_ONCE: Final = 500


def kept_days(asked: int, policies: Sequence[Policy]) -> float:
    """Give for how many days entries are kept, 0 for ever: as asked, and no fewer than presets of policies keep."""
    return max(asked, *(PRESETS[one.compliance].least_days for one in policies if one.compliance), 0) if asked else 0


def oldest_kept(days: float, now: float) -> float:
    """Give the moment before which entries go, 0 when none does; it moves on at midnight UTC."""
    # Else some would go each minute, and the log would tell of it as often.
    return max(0.0, math.floor(now / _DAY_SECONDS - days) * float(_DAY_SECONDS)) if days else 0.0


def count_before(database: Database, before: float) -> int:
    """Count older entries. Raises StoreUnreachable."""
    with database.reading() as connection:
        return int(connection.scalar(sa.select(sa.func.count()).where(audit.c.at < before)) or 0)


def audit_archive(folder: Path, before: float, now: float) -> ArchiveWriter:
    """Give an archive of entries that is new in a folder, and begins to exist with them; raises InvalidValue."""
    return new_archive(folder, "audit", before, now)


def forget_before(
    database: Database,
    before: float,
    is_stopping: Callable[[], bool] = lambda: False,
    archive: ArchiveWriter | None = None,
) -> int:
    """Delete older entries, some a transaction, and give how many went.

    Each is deleted in the transaction in which it was archived, where there is an archive. Raises StoreUnreachable,
    OSError.
    """
    gone = 0
    while not is_stopping():
        taken = _forget_some(database, before, archive)
        gone += taken
        if taken < _AT_ONCE:
            break
    return gone


def _forget_some(database: Database, before: float, archive: ArchiveWriter | None) -> int:
    old = sa.select(audit.c.entry_id).where(audit.c.at < before).order_by(audit.c.at, audit.c.entry_id)
    # Two that do it at once take other entries each.
    wanted = old.limit(_AT_ONCE).with_for_update(skip_locked=True)
    with database.writing() as connection:
        entry_ids = connection.scalars(wanted).all()
        if entry_ids:
            if archive is not None:
                archive.add_rows(connection, [(audit, database.one_of(audit.c.entry_id, entry_ids))])
            connection.execute(sa.delete(audit).where(database.one_of(audit.c.entry_id, entry_ids)))
    return len(entry_ids)
