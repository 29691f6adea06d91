"""Notices that the server is another one than before: restarted, or a replica in its place.

Such a server may have lost its last second, and with it claims whose runs are alive. Only these runs know of them:
they renew at once, so whoever waits a moment before it claims anything finds those jobs running.
"""

import logging
import threading
import time
from typing import Any, Final

import redis

log = logging.getLogger("scriptfleet.broker")

#: Heartbeats come each second, and one may be lost on a line that is found broken.
SETTLE_SECONDS: Final = 3.0


class ServerWatch:
    """Looks at each new connection of one client which server it leads to; safe from all threads."""

    def __init__(self, client: redis.Redis) -> None:
        self._guard = threading.Lock()
        self._run_id = ""
        self._settled_at = 0.0
        #: How often the server was found to be another one.
        self.changes = 0
        client.connection_pool.connection_kwargs["redis_connect_func"] = self._connected
        # Those from before are not watched.
        client.connection_pool.disconnect()

    def is_settling(self) -> bool:
        """Tell whether the server changed so lately that living runs may not have renewed."""
        return time.monotonic() < self._settled_at

    def _connected(self, connection: Any) -> None:
        """Do what the library does on a new connection, and look; raises ConnectionError when the server has changed.

        What the connection was for is refused: it was asked for in the belief that the server knows all it knew.
        """
        connection.on_connect()
        connection.send_command("INFO", "server", check_health=False)
        run_id = _run_id_in(connection.read_response())
        with self._guard:
            known, self._run_id = self._run_id, run_id
            if known in {"", run_id}:
                return
            self.changes += 1
            self._settled_at = time.monotonic() + SETTLE_SECONDS
        log.warning("server_changed: no job is claimed for %g s, so that living runs renew first", SETTLE_SECONDS)
        raise redis.ConnectionError("the server was restarted, or another one has taken its place")


def _run_id_in(info: bytes | str) -> str:
    text = info.decode() if isinstance(info, bytes) else info
    return next((line.partition(":")[2] for line in text.splitlines() if line.startswith("run_id:")), "")
