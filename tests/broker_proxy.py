"""A line to the broker that loses answers: what is asked reaches the server, what it says does not come back."""

import select
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit


class BrokerProxy:
    """Passes everything on, until it is told to lose answers to script calls: then it cuts the line instead."""

    def __init__(self, url: str) -> None:
        self._upstream = urlsplit(url)
        self._server = socket.create_server(("127.0.0.1", 0))
        self._is_closed = threading.Event()
        self._lock = threading.Lock()
        #: How many answers are still to be lost, and how many calls reached the server and were not answered.
        self._to_lose = 0
        self.lost = 0
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        """Its address, as a broker's."""
        return f"redis://127.0.0.1:{self._server.getsockname()[1]}/0"

    def lose(self, answers: int) -> None:
        """Lose the answers to the next so many script calls."""
        with self._lock:
            self._to_lose = answers

    def close(self) -> None:
        """Stop listening."""
        self._is_closed.set()
        self._server.close()

    def _accept(self) -> None:
        while not self._is_closed.is_set():
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, self._connect() as server:
            is_call = False
            while True:
                readable, _, _ = select.select([client, server], [], [], 1.0)
                if self._is_closed.is_set():
                    return
                for side in readable:
                    try:
                        content = side.recv(1 << 16)
                    except OSError:
                        return
                    if not content:
                        return
                    if side is client:
                        is_call = is_call or b"EVAL" in content.upper()
                        server.sendall(content)
                    elif is_call and self._is_lost():
                        return
                    else:
                        is_call = False
                        client.sendall(content)

    def _is_lost(self) -> bool:
        with self._lock:
            if not self._to_lose:
                return False
            self._to_lose -= 1
            self.lost += 1
            return True

    def _connect(self) -> socket.socket:
        if self._upstream.scheme == "unix":
            server = socket.socket(socket.AF_UNIX)
            server.connect(self._upstream.path)
            return server
        return socket.create_connection((self._upstream.hostname or "", self._upstream.port or 6379))


@contextmanager
def proxy_to(url: str) -> Iterator[BrokerProxy]:
    """Stand before the broker at ``url`` while the block lasts."""
    proxy = BrokerProxy(url)
    try:
        yield proxy
    finally:
        proxy.close()
