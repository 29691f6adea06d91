"""Server-sent events: how one is written, and an answer made of them."""

import json
import time
from collections.abc import Awaitable, Callable

from starlette.types import Message, Receive, Scope, Send

from scriptfleet.results.rest.seated_stream import Pieces, SeatedStream
from scriptfleet.results.rest.seats import Seats

MEDIA_TYPE = "text/event-stream"
#: A comment, so that proxies and browsers see that the line is alive.
HEARTBEAT = b": still here\n\n"
#: How long a browser waits before it connects again, milliseconds.
RETRY = b"retry: 2000\n\n"
#: Where a request's state has what tells whether its sender is still whom the service knows.
STILL_KNOWN = "still_known"
#: Asked no sooner than this, with the next thing that is sent; a line that is alive sends something each ten seconds.
_ASKED_EVERY_SECONDS = 5.0


class _NoLongerKnown(Exception):
    """The token or the session of who follows has ended."""


def event(name: str, data: object, event_id: str | None = None) -> bytes:
    """Give one event; the data is JSON, which has no line breaks."""
    head = "" if event_id is None else f"id: {event_id}\n"
    return f"{head}event: {name}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n".encode(errors="replace")


class EventStream(SeatedStream):
    """Events as they come. Takes a seat when it is made, and gives it back when the line is closed.

    It ends with the token or the session that it was asked for with.
    """

    def __init__(self, events: Callable[[], Pieces], seats: Seats) -> None:
        """Raise ServiceBusy when no seat is free."""
        # Nginx would gather events before it passes them on.
        super().__init__(events, seats, MEDIA_TYPE, {"X-Accel-Buffering": "no"})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the events end, the client leaves or may no longer look."""
        is_known: Callable[[], Awaitable[bool]] = scope["state"][STILL_KNOWN]
        asked_at = time.monotonic()

        async def send_while_known(message: Message) -> None:
            nonlocal asked_at
            if time.monotonic() - asked_at >= _ASKED_EVERY_SECONDS:
                if not await is_known():
                    raise _NoLongerKnown
                asked_at = time.monotonic()
            await send(message)

        try:
            await super().__call__(scope, receive, send_while_known)
        except _NoLongerKnown:
            # Whoever comes again is told why not.
            await send({"type": "http.response.body", "body": b"", "more_body": False})
