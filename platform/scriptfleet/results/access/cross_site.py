"""Keeps pages of other sites from changing anything with a browser's session, or by being open on this machine.

Two guards: the request must come from our own page by what the browser says of it, and, with a session, must carry a
token that only our own pages can read.
"""

import hashlib
import hmac
from urllib.parse import parse_qs

from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope

#: Where a program of a page puts the token; a plain form has it as FIELD.
HEADER, FIELD = "x-csrf-token", "csrf_token"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

_FORM = "application/x-www-form-urlencoded"
_MOST_FORM_FIELDS = 1000


def csrf_token_of(session_secret: str) -> str:
    """Give the token of a session's pages: made from its secret, which no page can read."""
    return hmac.new(session_secret.encode("utf-8", "surrogateescape"), b"csrf", hashlib.sha256).hexdigest()


def is_from_elsewhere(scope: Scope, headers: Headers) -> bool:
    """Tell whether a browser says that another site's page sent this; programs say nothing and are believed."""
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site not in {"same-origin", "none"}
    origin = headers.get("origin")
    return origin is not None and origin != f"{scope['scheme']}://{headers.get('host', '')}"


def is_right(given: str, session_secret: str) -> bool:
    """Compare a token with that of the session, in a time that tells nothing."""
    return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), csrf_token_of(session_secret).encode())


async def given_token(headers: Headers, receive: Receive) -> tuple[str, Receive]:
    """Give the token that came with a request, and from where its body can be read once more."""
    if HEADER in headers or headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
        return headers.get(HEADER, ""), receive
    body = await read_body(receive)
    return form_of(body).get(FIELD, ""), _again(body, receive)


def form_of(body: bytes) -> dict[str, str]:
    """Give the fields of a plain form, the first of each name; nothing of what is no form."""
    try:
        found = parse_qs(body.decode("ascii"), keep_blank_values=True, max_num_fields=_MOST_FORM_FIELDS)
    except ValueError:
        return {}
    return {name: values[0] for name, values in found.items()}


async def read_body(receive: Receive) -> bytes:
    """Read all of a request's body; as long as it comes, for it is bounded outside of here."""
    parts: list[bytes] = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            return b"".join(parts)


def _again(body: bytes, receive: Receive) -> Receive:
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_again() -> Message:
        return messages.pop() if messages else await receive()

    return receive_again
