"""The web server: what it believes of proxies, and how long it waits for a client."""

import asyncio
import fcntl
import ipaddress
import socket
import sys
import termios
import threading
from collections.abc import Sequence

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from scriptfleet.errors import InvalidValue

#: How long answers that are under way may take once a signal has come.
_GRACE_SECONDS = 10
#: From the first moment of a connection, or from a request's first byte, to the end of its headers.
HEAD_SECONDS = 10.0
_HEAD_BYTES = 32 * 1024
#: A client that has taken nearly nothing of an answer for so long holds its place in vain.
READ_SECONDS = 60.0
#: How much a client must take of what lies ready for it.
_LEAST_BYTES_PER_SECOND = 64 * 1024 / READ_SECONDS


class PatientProtocol(H11Protocol):
    """HTTP/1.1 whose clients have so long to say what they want, and are hung up on then.

    They have as long for the rest of a body that was answered before it had come, such as one that is too large, and a
    minute to take some 64 KiB of an answer.
    """

    head_seconds = HEAD_SECONDS
    read_seconds = READ_SECONDS
    _hangs_up: asyncio.TimerHandle | None = None
    _gives_up: asyncio.TimerHandle | None = None
    _left_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait."""
        super().connection_made(transport)
        self._mind_the_time()

    def data_received(self, data: bytes) -> None:
        """Go on waiting, unless what is waited for has come."""
        super().data_received(data)
        self._mind_the_time()

    def on_response_complete(self) -> None:
        """Wait for what is left of the request, and for the next one."""
        super().on_response_complete()
        self._mind_the_time()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        super().connection_lost(exc)
        self._stop_waiting()
        self._stop_giving_up()

    def pause_writing(self) -> None:
        """Begin to wait for a client that does not read as fast as the answer comes."""
        super().pause_writing()
        if self._gives_up is None:
            self._look_again(_left_bytes_of(self.transport))

    def resume_writing(self) -> None:
        """Go on: it has read most of what was there."""
        super().resume_writing()
        self._stop_giving_up()

    def _mind_the_time(self) -> None:
        if not self._is_waiting():
            self._stop_waiting()
        elif self._hangs_up is None and not self.transport.is_closing():
            self._hangs_up = self.loop.call_later(self.head_seconds, self._hang_up)

    def _is_waiting(self) -> bool:
        is_answered = self.conn.our_state in {h11.DONE, h11.MUST_CLOSE}
        return self.conn.their_state is h11.IDLE or (is_answered and self.conn.their_state is h11.SEND_BODY)

    def _stop_waiting(self) -> None:
        if self._hangs_up is not None:
            self._hangs_up.cancel()
            self._hangs_up = None

    def _look_again(self, left_bytes: int) -> None:
        self._left_bytes = left_bytes
        self._gives_up = self.loop.call_later(self.read_seconds, self._look)

    def _look(self) -> None:
        left_bytes = _left_bytes_of(self.transport)
        if self._left_bytes - left_bytes >= _LEAST_BYTES_PER_SECOND * self.read_seconds:
            self._look_again(left_bytes)
        else:
            # Closing would wait for what is left to be read.
            self.transport.abort()

    def _stop_giving_up(self) -> None:
        if self._gives_up is not None:
            self._gives_up.cancel()
            self._gives_up = None

    def _hang_up(self) -> None:
        self._hangs_up = None
        if self._is_waiting():
            self.transport.close()


def _left_bytes_of(transport: asyncio.Transport) -> int:
    """Give what a client has not taken yet."""
    left_bytes = transport.get_write_buffer_size()
    if sys.platform == "linux":
        # The kernel takes more only once a third of its buffer, which may be megabytes, is free: its part counts too.
        line = transport.get_extra_info("socket")
        left_bytes += int.from_bytes(fcntl.ioctl(line.fileno(), termios.TIOCOUTQ, bytes(4)), sys.byteorder)
    return left_bytes


class WebServer(uvicorn.Server):
    """Says that it ends to answers that go on for as long as somebody looks; others are waited for."""

    def __init__(self, config: uvicorn.Config, leaving: threading.Event) -> None:
        super().__init__(config)
        self._leaving = leaving

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End."""
        self._leaving.set()
        await super().shutdown(sockets)


def web_server(app: ASGIApp, trusted_proxies: Sequence[str], leaving: threading.Event) -> uvicorn.Server:
    """Make the server, which sets ``leaving`` when it ends; raises InvalidValue for a proxy that is no address."""
    config = uvicorn.Config(
        app,
        http=PatientProtocol,
        log_config=None,
        access_log=False,
        server_header=False,
        # Without a proxy to believe, anybody could choose an address to be counted and kept under.
        proxy_headers=bool(trusted_proxies),
        forwarded_allow_ips=[_network(proxy) for proxy in trusted_proxies],
        h11_max_incomplete_event_size=_HEAD_BYTES,
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )
    return WebServer(config, leaving)


def _network(said: str) -> str:
    try:
        return str(ipaddress.ip_network(said))
    except ValueError as fault:
        expected = "addresses and networks such as 10.0.0.7 or 10.0.0.0/8, with commas between"
        raise InvalidValue("SCRIPTFLEET_TRUSTED_PROXIES", said, expected) from fault
