"""Server-sent events: how one is written, and an answer made of them."""

import json
from collections.abc import Callable

from scriptfleet.results.rest.seated_stream import Pieces, SeatedStream
from scriptfleet.results.rest.seats import Seats

MEDIA_TYPE = "text/event-stream"
#: A comment, so that proxies and browsers see that the line is alive.
HEARTBEAT = b": still here\n\n"
#: How long a browser waits before it connects again, milliseconds.
RETRY = b"retry: 2000\n\n"


def event(name: str, data: object, event_id: str | None = None) -> bytes:
    """Give one event; the data is JSON, which has no line breaks."""
    head = "" if event_id is None else f"id: {event_id}\n"
    return f"{head}event: {name}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n".encode(errors="replace")


class EventStream(SeatedStream):
    """Events as they come. Takes a seat when it is made, and gives it back when the line is closed."""

    def __init__(self, events: Callable[[], Pieces], seats: Seats) -> None:
        """Raise ServiceBusy when no seat is free."""
        # Nginx would gather events before it passes them on.
        super().__init__(events, seats, MEDIA_TYPE, {"X-Accel-Buffering": "no"})
