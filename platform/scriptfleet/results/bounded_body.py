"""Bounds what a client may send: how much, and how slowly."""

import asyncio
import time

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

#: A body's first half minute is free; after that it must have come at this rate or faster.
PATIENCE_SECONDS = 30.0
_BYTES_A_SECOND = 16 * 1024
#: Where a request's state has why it is refused, whoever sent it.
REFUSED = "refused"
_ROOM_AROUND_A_SCRIPT = 1024 * 1024


def most_body_bytes(blob_max_bytes: int) -> int:
    """Give the most that a request may have: the largest script, as JSON carries it, and room around it."""
    # Base64 makes four bytes of three.
    return blob_max_bytes * 4 // 3 + _ROOM_AROUND_A_SCRIPT


class BoundedBody:
    """Middleware that has a body that is too large refused with 413 and one that comes too slowly with 408.

    One that says that it is too large is refused by the guard within, which knows by then who asks, before it is read.
    """

    def __init__(self, app: ASGIApp, most_bytes: int, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self._app, self._most_bytes, self._patience_seconds = app, most_bytes, patience_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, its body bounded."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if int(Headers(scope=scope).get("content-length", "0")) > self._most_bytes:
            scope.setdefault("state", {})[REFUSED] = self._too_large()
        await self._app(scope, self._bounded(receive), send)

    def _bounded(self, receive: Receive) -> Receive:
        # Only the client's time counts, not what the service does before it reads on.
        waited, received, is_complete = 0.0, 0, False

        async def receive_bounded() -> Message:
            nonlocal waited, received, is_complete
            if is_complete:
                # What comes now is the client's leaving, whenever that is.
                return await receive()
            began = time.monotonic()
            try:
                left = self._patience_seconds + received / _BYTES_A_SECOND - waited
                message = await asyncio.wait_for(receive(), left)
            except TimeoutError:
                raise HTTPException(408, f"body: after {received:,} bytes no more came in time") from None
            waited += time.monotonic() - began
            received += len(message.get("body", b""))
            is_complete = not message.get("more_body", False)
            if received > self._most_bytes:
                raise self._too_large()
            return message

        return receive_bounded

    def _too_large(self) -> HTTPException:
        said = f"body: at most {self._most_bytes:,} bytes are taken (SCRIPTFLEET_BLOB_MAX_BYTES raises the limit)"
        return HTTPException(413, said)
