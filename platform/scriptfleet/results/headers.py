"""Headers that every answer has: nothing is framed, sniffed, kept or loaded from elsewhere."""

import logging
import secrets

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_log = logging.getLogger(__name__)

#: Scripts and style sheets are files of our own, never part of a page.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self'; img-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)

#: Where REST describes itself.
DESCRIPTION = "/api/v1/openapi.json"
_LINK = f'<{DESCRIPTION}>; rel="service-desc"; type="application/json"'

_ALWAYS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # With no-referrer, a browser would not say either that a form of our own page sent it.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


#: Of those whom nobody knows nothing is told: they could fill the log.
_REFUSED, _UNKNOWN, _FAILED = 400, 401, 500


class SafeHeaders:
    """Middleware that adds the headers, and gives each request a number, by which the log tells of what was refused.

    What an answer says itself about caching stands.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and add the headers to its answer."""

        number = secrets.token_hex(8)
        if scope["type"] == "http":
            scope.setdefault("state", {})["request_id"] = number

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                _note(scope, int(message["status"]))
                headers = MutableHeaders(scope=message)
                headers.update(_ALWAYS)
                headers["X-Request-Id"] = number
                headers.setdefault("Cache-Control", "no-store")
                if str(scope["path"]).startswith("/api/"):
                    headers.append("Link", _LINK)
            await send(message)

        await self._app(scope, receive, send_with_headers)


def _note(scope: Scope, status: int) -> None:
    if status < _REFUSED or status == _UNKNOWN:
        return
    level = logging.WARNING if status >= _FAILED else logging.INFO
    told = (scope["state"]["request_id"], scope["method"], scope["path"], status)
    _log.log(level, "request_refused request=%s method=%s path=%r status=%d", *told)
