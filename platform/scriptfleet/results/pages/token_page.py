"""The page of tokens, for admins: who has which, one more, the end of one. A secret is shown on one answer alone."""

import math
import time
from typing import Annotated, Final
from urllib.parse import quote

from fastapi import APIRouter, Depends, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from scriptfleet.domain.role import Role
from scriptfleet.errors import InvalidValue
from scriptfleet.results.access.audit import audit
from scriptfleet.results.access.needs import actor_of, needs
from scriptfleet.results.pages.forms import Form, read_form
from scriptfleet.results.pages.sources import Sources
from scriptfleet.storage.token_store import TokenStore

_DAY_SECONDS: Final = 86_400.0
_MOST_DAYS: Final = 36_500
_REFUSED: Final = 422


def token_routes(sources: Sources) -> APIRouter:
    """Give the routes."""
    router = APIRouter(dependencies=[needs(Role.ADMIN)])
    tokens = TokenStore(sources.database)

    @router.get("/tokens")
    def list_tokens(request: Request, revoked: str = "") -> HTMLResponse:
        return _page(request, sources, tokens, revoked=revoked)

    @router.post("/tokens")
    def make_token(request: Request, form: Annotated[Form, Depends(read_form)]) -> HTMLResponse:
        try:
            # Answered, not sent on to another page: an address or a store would keep the secret.
            return _page(request, sources, tokens, made=_make(request, tokens, form))
        except InvalidValue as fault:
            page = _page(request, sources, tokens, form=form, fault=str(fault))
            page.status_code = _REFUSED
            return page

    @router.post("/tokens/revoke")
    def revoke_token(request: Request, form: Annotated[Form, Depends(read_form)]) -> Response:
        # In the form, not in the path: a name may have slashes.
        name = form.get("name", "")
        audit(request, "token.revoke", name)
        if not tokens.revoke(name):
            raise InvalidValue("token name", name, "one that /tokens shows as good")
        return RedirectResponse(f"/tokens?revoked={quote(name, safe='')}", 303)

    return router


def _make(request: Request, tokens: TokenStore, form: Form) -> tuple[str, str]:
    """Make the token of a form, and give its name and its secret; raises InvalidValue."""
    name, role, days = form.get("name", "").strip(), _role(form.get("role", "")), _days(form.get("days", ""))
    expires_at = None if days is None else time.time() + days * _DAY_SECONDS
    audit(request, "token.add", name, role=role, expires_at=expires_at)
    return name, tokens.add(name, role, actor_of(request).name, expires_at)


def _page(
    request: Request,
    sources: Sources,
    tokens: TokenStore,
    form: Form | None = None,
    made: tuple[str, str] | None = None,
    fault: str = "",
    revoked: str = "",
) -> HTMLResponse:
    found, now = tokens.list(), time.time()
    # An address is no proof: what it says is shown where it is so.
    ended = next((one.name for one in found if one.name == revoked and one.state(now) == "revoked"), "")
    shown = {"made": made, "fault": fault, "revoked": ended, "form": form or {}}
    return sources.renderer.page(request, "tokens.html", tokens=found, now=now, roles=list(Role), **shown)


def _role(said: str) -> Role:
    try:
        return Role(said)
    except ValueError as fault:
        raise InvalidValue("role", said, f"one of {', '.join(Role)}") from fault


def _days(said: str) -> float | None:
    try:
        days = float(said) if said.strip() else None
    except ValueError:
        days = math.nan
    if days is not None and not 0 < days <= _MOST_DAYS:
        raise InvalidValue("days", said, f"a number above 0, {_MOST_DAYS} at most, or nothing")
    return days
