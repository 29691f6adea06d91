"""The audit log as it is kept: entries are added and read, never changed; audit_days.py ends old ones."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from scriptfleet.domain import check
from scriptfleet.storage.engine import Database
from scriptfleet.storage.paging import Page, PageRequest, read_page
from scriptfleet.storage.storable import json_value, text
from scriptfleet.storage.tables import audit

#: Longer ones are cut: who sends megabytes as a name does not fill the log with them.
_LONGEST = 1000


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """A change that somebody made or tried to make."""

    #: Seconds since the epoch.
    at: float
    actor: str
    role: str | None
    #: Where from: an IP address, or a host for what came by the command line.
    address: str | None
    #: Such as ``job.cancel``.
    action: str
    #: What was changed: an id, a name, a path.
    target: str
    #: ``ok``, or what came of it instead.
    result: str
    detail: Mapping[str, Any] | None = None
    entry_id: str = ""


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which entries are wanted; None takes all."""

    actor: str | None = None
    action: str | None = None
    target: str | None = None
    since: float | None = None
    until: float | None = None

    def __post_init__(self) -> None:
        for name in ("actor", "action", "target"):
            check.optional_text(name, getattr(self, name), _LONGEST)
        check.optional_number("since", self.since)
        check.optional_number("until", self.until)


class AuditStore:
    """Keeps the log. Each method raises StoreUnreachable when the database is away."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, *entries: AuditEntry) -> None:
        """Add entries, all or none."""
        with self._database.writing() as connection:
            connection.execute(sa.insert(audit), [_row(entry) for entry in entries])

    def refused_since(self, action: str, since: float, most: int) -> Sequence[tuple[float, str]]:
        """Give when and from where an action was refused with 401, the newest first."""
        is_it = (audit.c.action == action) & (audit.c.at > since) & audit.c.result.startswith("401")
        wanted = sa.select(audit.c.at, audit.c.address).where(is_it).order_by(audit.c.at.desc()).limit(most)
        with self._database.reading() as connection:
            return [(float(at), address or "") for at, address in connection.execute(wanted)]

    def page(self, which: AuditFilter, request: PageRequest) -> Page[AuditEntry]:
        """Give a page of entries, the newest first; raises InvalidValue for a bad cursor."""
        named = {"actor": which.actor, "action": which.action, "target": which.target}
        wanted = sa.select(audit).where(*(audit.c[name] == value for name, value in named.items() if value is not None))
        if which.since is not None:
            wanted = wanted.where(audit.c.at >= which.since)
        if which.until is not None:
            wanted = wanted.where(audit.c.at < which.until)
        with self._database.reading() as connection:
            return read_page(connection, wanted, (audit.c.at, audit.c.entry_id), request, _entry)


def _row(entry: AuditEntry) -> dict[str, Any]:
    texts = {name: _cut(getattr(entry, name)) for name in ("actor", "role", "address", "action", "target", "result")}
    return {**texts, "entry_id": uuid.uuid4().hex, "at": entry.at, "detail": json_value(entry.detail)}


def _cut(value: str | None) -> str | None:
    return None if value is None else str(text(value))[:_LONGEST]


def _entry(row: sa.Row[Any]) -> AuditEntry:
    return AuditEntry(**row._mapping)
