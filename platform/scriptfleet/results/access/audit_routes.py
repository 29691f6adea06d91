"""REST: the audit log, for admins."""

from datetime import UTC, datetime
from typing import Annotated, Any, Self

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from scriptfleet.domain.role import Role
from scriptfleet.results.access.needs import needs
from scriptfleet.results.rest.models import MOMENT, PageQuery, seconds_of
from scriptfleet.storage.audit_store import AuditEntry, AuditFilter, AuditStore


class AuditQuery(PageQuery):
    """Which entries; all that is given must hold."""

    actor: str | None = Field(None, min_length=1)
    action: str | None = Field(None, min_length=1)
    target: str | None = Field(None, min_length=1)
    since: str | None = Field(None, description=f"At this moment or later. {MOMENT}")
    until: str | None = Field(None, description=f"Before this moment. {MOMENT}")

    def which(self) -> AuditFilter:
        """Give what the store takes; raises InvalidValue."""
        since, until = seconds_of("since", self.since), seconds_of("until", self.until)
        return AuditFilter(self.actor, self.action, self.target, since, until)


class AuditView(BaseModel):
    """A change that somebody made or tried to make."""

    entry_id: str
    at: datetime
    actor: str = Field(description="The name of a token; local without tokens, nobody at a login that failed.")
    role: str | None
    address: str | None
    action: str
    target: str
    result: str = Field(description="ok, or the status that refused it.")
    detail: dict[str, Any] | None

    @classmethod
    def of(cls, entry: AuditEntry) -> Self:
        """Give what is shown."""
        named = {name: getattr(entry, name) for name in cls.model_fields if name != "at"}
        return cls(at=datetime.fromtimestamp(entry.at, UTC), **named)


class AuditPage(BaseModel):
    """Entries, the newest first."""

    entries: list[AuditView]
    next_cursor: str | None


def audit_routes(entries: AuditStore) -> APIRouter:
    """Give the route under /api/v1/audit."""
    router = APIRouter(prefix="/api/v1", tags=["audit"], dependencies=[needs(Role.ADMIN)])

    @router.get("/audit", summary="Who changed what, the newest first")
    def list_entries(query: Annotated[AuditQuery, Query()]) -> AuditPage:
        found = entries.page(query.which(), query.page())
        return AuditPage(entries=[AuditView.of(entry) for entry in found.items], next_cursor=found.next_cursor)

    return router
