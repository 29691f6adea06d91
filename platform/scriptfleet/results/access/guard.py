"""Lets a request through or refuses it, before any route sees it; and keeps what was changed in the audit log.

Without any token only this machine is served, as the actor ``local``; with one, whoever has one.
"""

import base64
import binascii
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar
from urllib.parse import parse_qsl, quote

import anyio
import anyio.to_thread
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import cookie_parser
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from scriptfleet.domain.role import Actor
from scriptfleet.errors import StoreUnreachable
from scriptfleet.results import errors
from scriptfleet.results.access import audit, cross_site
from scriptfleet.results.access.bind import names_loopback
from scriptfleet.results.access.cookie import cookie_name
from scriptfleet.results.access.keyring import LOCAL, Keyring
from scriptfleet.results.bounded_body import REFUSED
from scriptfleet.results.rest.event_stream import STILL_KNOWN
from scriptfleet.storage.token_store import PREFIX

_log = logging.getLogger(__name__)
_Found = TypeVar("_Found")

LIVENESS = "/healthz"
#: It brings credentials of its own, so a session that is there already proves nothing for it.
LOGIN = "/login"
#: Open to all: an orchestrator needs no token to know whether the process lives, and who has a token must be able to
#: log in with it. Their routes ask ``request.state.actor`` before they tell more than that.
OPEN_PATHS = frozenset({LIVENESS, "/readyz", LOGIN, "/style.css", "/icon.svg"})

_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="Scriptfleet"'}
#: Names that people give a token in an address, from where it gets into logs, histories and other sites.
_TOKEN_PARAMETERS = frozenset({"token", "access_token", "api_token", "api_key", "apikey", "auth_token"})
#: Answers that wait hold threads of the shared pool; who asks is told by threads of our own.
_THREADS = 8


@dataclass(frozen=True, slots=True)
class Asker:
    """Who sent a request, as far as its credentials tell."""

    actor: Actor | None
    #: Of a browser's session; empty for others.
    session: str = ""
    #: Whether a browser sends these credentials by itself, with whatever page's request.
    is_ambient: bool = True


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request goes no further."""

    problem: errors.Problem
    detail: str
    headers: Mapping[str, str] = field(default_factory=dict)


class Access:
    """Middleware. ``keep`` writes entries of the audit log; ``page`` shows people why they are refused."""

    def __init__(
        self,
        app: ASGIApp,
        keyring: Keyring,
        keep: audit.Keep,
        open_paths: frozenset[str],
        page: errors.PageOfProblem,
    ) -> None:
        self._app, self._keyring, self._keep, self._open_paths, self._page = app, keyring, keep, open_paths, page
        self._threads = anyio.CapacityLimiter(_THREADS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 400, 401, 403 or 503."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        elif scope["type"] != "http":
            await self._app(scope, receive, send)
        else:
            await self._guard(scope, receive, send)

    async def _guard(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        state = scope.setdefault("state", {})
        state |= {"actor": None, "changes": [], "csrf_token": "", "session": ""}
        state[STILL_KNOWN] = partial(self._is_still_known, scope, headers)
        refused: Refusal | Response | None
        try:
            asker = await self._asker(scope, headers)
            state |= {"actor": asker.actor, "session": asker.session}
            state["csrf_token"] = cross_site.csrf_token_of(asker.session) if asker.session else ""
            refused = self._refusal(scope, headers, asker)
            if refused is None and REFUSED in state:
                raise state[REFUSED]
            if refused is None and asker.session and _changes(scope) and scope["path"] != LOGIN:
                given, receive = await cross_site.given_token(headers, receive)
                refused = None if cross_site.is_right(given, asker.session) else _no_csrf_token()
        except StoreUnreachable as fault:
            refused = Refusal(errors.problem_of(fault), str(fault))
        except HTTPException as fault:
            refused = errors.told_http(self._page, scope, fault)
        if isinstance(refused, Refusal):
            refused = errors.told(self._page, scope, refused.problem, refused.detail, refused.headers)
        await self._answer(refused or self._app, scope, receive, send)

    async def _answer(self, answer: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        # Whoever is not known could fill the log: what they tried is kept only where a route says so, as login does.
        is_noted = False

        async def send_kept(message: Message) -> None:
            nonlocal is_noted
            if message["type"] == "http.response.start" and not is_noted:
                is_noted = True
                if _changes(scope) or scope["state"]["changes"]:
                    await self._note(scope, int(message["status"]))
            await send(message)

        await answer(scope, receive, send_kept)

    async def _note(self, scope: Scope, status: int) -> None:
        if scope["state"]["actor"] is None and not scope["state"]["changes"]:
            return
        entries = list(audit.entries_of(scope, status))
        try:
            await self._in_thread(partial(self._keep, *entries))
        except StoreUnreachable as fault:
            # The change is made by now: what the database cannot keep, this process's log does.
            for entry in entries:
                _log.error("audit_not_kept entry=%r reason=%s", entry, fault)

    async def _asker(self, scope: Scope, headers: Headers) -> Asker:
        # Whether the process lives must be told though the database hangs.
        if scope["path"] == LIVENESS:
            return Asker(None)
        try:
            return await self._in_thread(partial(self._identify, scope["scheme"], headers))
        except StoreUnreachable:
            if scope["path"] not in self._open_paths:
                raise
            return Asker(None)

    async def _is_still_known(self, scope: Scope, headers: Headers) -> bool:
        try:
            asker = await self._asker(scope, headers)
        except StoreUnreachable:
            # Nobody can say now: what was true stands.
            return True
        return bool(asker.actor == scope["state"]["actor"])

    def _identify(self, scheme: str, headers: Headers) -> Asker:
        if not self._keyring.is_guarded():
            return Asker(LOCAL)
        if "authorization" in headers:
            kind, secret = _credentials(headers["authorization"])
            return Asker(self._keyring.by_token(secret) if secret else None, is_ambient=kind != "bearer")
        session = cookie_parser(headers.get("cookie", "")).get(cookie_name(scheme), "")
        actor = self._keyring.by_session(session) if session else None
        return Asker(actor, session if actor else "")

    def _refusal(self, scope: Scope, headers: Headers, asker: Asker) -> Refusal | Response | None:
        if _has_token_in_address(scope):
            detail = "the address holds a token: send it as `Authorization: Bearer TOKEN`, and make a new one"
            return Refusal(errors.TOKEN_IN_ADDRESS, detail)
        if asker.actor is LOCAL and not names_loopback(headers.get("host", "")):
            # A page of another site whose name was made to point here would read everything otherwise.
            detail = "Host: only localhost and loopback addresses are served without a token"
            return Refusal(errors.HOST_REFUSED, detail)
        if _changes(scope) and asker.is_ambient and cross_site.is_from_elsewhere(scope, headers):
            return Refusal(errors.CROSS_SITE, "Origin: a page of another site sent this: use our own pages")
        if asker.actor is None and scope["path"] not in self._open_paths:
            return _unknown(scope, headers)
        return None

    async def _in_thread(self, ask: Callable[[], _Found]) -> _Found:
        return await anyio.to_thread.run_sync(ask, limiter=self._threads)


def _changes(scope: Scope) -> bool:
    return scope["method"] not in cross_site.SAFE_METHODS


def _unknown(scope: Scope, headers: Headers) -> Refusal | Response:
    if scope["method"] == "GET" and errors.wants_page(scope["path"], headers):
        query = scope["query_string"].decode("latin-1")
        wanted = quote(scope["path"]) + (f"?{query}" if query else "")
        return RedirectResponse(f"{LOGIN}?next={quote(wanted, safe='')}", 303)
    detail = "Authorization: send `Bearer TOKEN` with a token of `scriptfleet token add NAME --role ROLE`"
    return Refusal(errors.UNAUTHORIZED, detail, _CHALLENGE)


def _no_csrf_token() -> Refusal:
    detail = f"{cross_site.FIELD}: missing or old: load the page again, or send it as header {cross_site.HEADER}"
    return Refusal(errors.CROSS_SITE, detail)


def _has_token_in_address(scope: Scope) -> bool:
    if not scope["query_string"]:
        return PREFIX in scope["path"]
    query = scope["query_string"].decode("latin-1")
    names = {name.lower() for name, _ in parse_qsl(query, keep_blank_values=True)}
    return bool(names & _TOKEN_PARAMETERS) or PREFIX in query or PREFIX in scope["path"]


def _credentials(header: str) -> tuple[str, str]:
    kind, _, given = header.partition(" ")
    # Headers come decoded as Latin-1: this gives the bytes that were sent.
    sent = given.strip().encode("latin-1")
    if kind.lower() == "basic":
        sent = _password(sent)
    elif kind.lower() != "bearer":
        sent = b""
    return kind.lower(), sent.decode("utf-8", "surrogateescape")


def _password(sent: bytes) -> bytes:
    try:
        return base64.b64decode(sent, validate=True).partition(b":")[2]
    except binascii.Error:
        return b""
