"""Who may ask. Without a token only this machine; with one, whoever has it."""

import base64
import binascii
import hmac
import ipaddress
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from scriptfleet.config import Settings
from scriptfleet.domain.role import Actor, Role
from scriptfleet.errors import InvalidValue
from scriptfleet.results.errors import HOST_REFUSED, UNAUTHORIZED, answer

#: Open to all, so that an orchestrator needs no token to know whether the process lives. They ask
#: ``request.state.actor`` before they tell more than that.
OPEN_PATHS = frozenset({"/healthz", "/readyz"})

_CHALLENGE = {"WWW-Authenticate": 'Basic realm="Scriptfleet", charset="UTF-8"'}


def check_bind(host: str, settings: Settings) -> None:
    """Refuse to serve another than a loopback address without a token; raises InvalidValue."""
    if not settings.api_token and not is_loopback(host):
        expected = "a loopback address such as 127.0.0.1 (SCRIPTFLEET_API_TOKEN, once set, opens the others)"
        raise InvalidValue("host", host, expected)


def is_loopback(host: str) -> bool:
    """Tell whether a host name or address is this machine's own."""
    if host.rstrip(".").lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Access:
    """Middleware that lets a request through or refuses it."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app, self._token = app, token.encode()
        self._actor = Actor("environment" if token else "local", Role.ADMIN)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 401 or 403."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        is_trusted = not self._token or self._has_token(headers)
        scope.setdefault("state", {})["actor"] = self._actor if is_trusted else None
        if not is_trusted and scope["path"] not in OPEN_PATHS:
            refused = answer(
                UNAUTHORIZED, "Authorization: send `Bearer TOKEN`, or Basic with it as password", _CHALLENGE
            )
            await refused(scope, receive, send)
        elif not self._token and not _names_loopback(headers.get("host", "")):
            # A page of another site whose name was made to point here would read everything otherwise.
            detail = "Host: only localhost and loopback addresses are served without SCRIPTFLEET_API_TOKEN"
            await answer(HOST_REFUSED, detail)(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _has_token(self, headers: Headers) -> bool:
        scheme, _, given = headers.get("authorization", "").partition(" ")
        # Headers come decoded as Latin-1: this gives the bytes that were sent.
        sent = given.strip().encode("latin-1")
        if scheme.lower() == "basic":
            sent = _password(sent)
        elif scheme.lower() != "bearer":
            return False
        return hmac.compare_digest(sent, self._token)


def _password(sent: bytes) -> bytes:
    try:
        return base64.b64decode(sent, validate=True).partition(b":")[2]
    except binascii.Error:
        return b""


def _names_loopback(host: str) -> bool:
    try:
        return is_loopback(urlsplit(f"//{host}").hostname or "")
    except ValueError:
        return False
