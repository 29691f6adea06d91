"""The page of the audit log, for admins: who changed what, filtered and paged. All of it is in the address."""

import json
from collections.abc import Mapping
from typing import Annotated, Any, Final
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, ConfigDict

from scriptfleet.domain.role import Role
from scriptfleet.errors import InvalidValue
from scriptfleet.results.access.needs import needs
from scriptfleet.results.pages.list_query import field_moment, utc_seconds
from scriptfleet.results.pages.sources import Sources
from scriptfleet.results.shown import moment_text
from scriptfleet.storage.audit_store import AuditFilter, AuditStore
from scriptfleet.storage.paging import Page, PageRequest

ROWS: Final = 50
_UNREADABLE: Final = 422
#: Fields of the form, and what people call them.
_FIELDS: Final = {
    "actor": "Who",
    "action": "What",
    "target": "To what",
    "since": "Since",
    "until": "Until",
}


class AuditListQuery(BaseModel):
    """Which entries. Empty fields of the form mean any."""

    model_config = ConfigDict(extra="forbid")

    actor: str = ""
    action: str = ""
    target: str = ""
    since: str = ""
    until: str = ""
    cursor: str | None = None

    def which(self) -> AuditFilter:
        """Give what the store takes; raises InvalidValue."""
        since, until = utc_seconds("since", self.since), utc_seconds("until", self.until)
        return AuditFilter(self.actor.strip() or None, self.action.strip() or None, self.target or None, since, until)

    def said(self) -> list[tuple[str, str, str]]:
        """Give each field that is filled in, what people call it, and its value."""
        return [(name, what, getattr(self, name)) for name, what in _FIELDS.items() if getattr(self, name)]

    def moment_field(self, name: str) -> str:
        """Give a moment as a browser's field takes it."""
        return field_moment(name, str(getattr(self, name)))

    def address(self, **changes: str | None) -> str:
        """Give the address of this list with some of it changed, at its first page unless that is said."""
        said = {**{name: value for name, _, value in self.said()}, **changes}
        pairs = {name: value for name, value in said.items() if value}
        return f"/audit?{urlencode(pairs)}" if pairs else "/audit"


def audit_page_routes(sources: Sources) -> APIRouter:
    """Give the route."""
    router = APIRouter(dependencies=[needs(Role.ADMIN)])
    entries = AuditStore(sources.database)

    @router.get("/audit")
    def show_audit(request: Request, query: Annotated[AuditListQuery, Query()]) -> HTMLResponse:
        shown = {"query": query, "said": query.said(), "compact": _compact}
        try:
            found = entries.page(query.which(), PageRequest(ROWS, query.cursor))
        except InvalidValue as fault:
            answer = sources.renderer.page(request, "audit.html", **shown, found=Page([], None), fault=str(fault))
            answer.status_code = _UNREADABLE
            return answer
        return sources.renderer.page(request, "audit.html", **shown, found=found, fault="")

    return router


def _compact(detail: Mapping[str, Any] | None) -> str:
    return ", ".join(f"{name} {_shown(name, value)}" for name, value in (detail or {}).items() if value is not None)


def _shown(name: str, value: object) -> str:
    if name.endswith("_at") and isinstance(value, int | float):
        return moment_text(value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
