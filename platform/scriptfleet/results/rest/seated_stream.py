"""An answer that comes piece by piece and holds a seat meanwhile, which it gives back whatever happens."""

from collections.abc import Callable, Generator, Mapping

from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from scriptfleet.results.rest.seats import Seats

Pieces = Generator[bytes, None, None]


class SeatedStream(StreamingResponse):
    """Pieces as they come. Takes a seat when it is made, and gives it back when the line is closed."""

    def __init__(
        self, begin: Callable[[], Pieces], seats: Seats, media_type: str, headers: Mapping[str, str] | None = None
    ) -> None:
        """Raise ServiceBusy when no seat is free, and what ``begin`` raises."""
        seats.take()
        try:
            self._pieces = begin()
        except BaseException:
            seats.give_back()
            raise
        self._seats = seats
        super().__init__(self._pieces, media_type=media_type, headers=headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the pieces end or the client leaves."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            # What is read meanwhile, such as rows of the database, is let go at once.
            self._pieces.close()
            self._seats.give_back()
