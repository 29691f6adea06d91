"""The line from the service to a page that is open: one for each page, since browsers open few to a site."""

import time
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from scriptfleet.errors import BrokerUnreachable, StoreUnreachable
from scriptfleet.results.rest.event_stream import HEARTBEAT, RETRY, EventStream, event
from scriptfleet.results.rest.seated_stream import Pieces
from scriptfleet.results.rest.seats import Seats

_HEARTBEAT_SECONDS: Final = 10.0


class PageEvent(NamedTuple):
    """What a page is told. ``place`` comes back as Last-Event-ID when the line was cut."""

    name: str
    data: object
    place: str | None = None


#: Gives what a page is told as it comes, and None for a moment without anything.
Follow = Callable[[], Iterator[PageEvent | None]]


def live_line(follow: Follow, seats: Seats) -> EventStream:
    """Open a line; raises ServiceBusy when no seat is free."""
    return EventStream(lambda: _sent(follow), seats)


def _sent(follow: Follow) -> Pieces:
    yield RETRY
    told_at = time.monotonic()
    try:
        for one in follow():
            if one is not None:
                yield event(one.name, one.data, one.place)
            elif time.monotonic() - told_at >= _HEARTBEAT_SECONDS:
                yield HEARTBEAT
            else:
                continue
            told_at = time.monotonic()
    except (BrokerUnreachable, StoreUnreachable) as fault:
        # The browser comes again with the place that was reached.
        yield event("interrupted", {"detail": str(fault)})
