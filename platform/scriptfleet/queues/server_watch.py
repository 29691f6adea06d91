"""Notices that the server is another one than before: restarted, or a replica in its place.

Such a server may have lost its last second, and with it claims whose runs are alive. Only these runs know of them:
they renew at once, so whoever waits a moment before it claims anything finds those jobs running. Whoever comes while
the server is that young waits too.
"""

import logging
import threading
import time
from typing import Any, Final

import redis

from scriptfleet.queues.keys import Keys

log = logging.getLogger("scriptfleet.broker")

#: Heartbeats come each second, and one may be lost on a line that is found broken.
SETTLE_SECONDS: Final = 3.0


class ServerWatch:
    """Looks at each new connection of one client which server it leads to; safe from all threads."""

    def __init__(self, client: redis.Redis, keys: Keys) -> None:
        self._guard, self._queues = threading.Lock(), keys("queues")
        self._run_id = ""
        self._settled_at = 0.0
        #: How often the server was found to be another one.
        self.changes = 0
        client.connection_pool.connection_kwargs["redis_connect_func"] = self._connected
        # Those from before are not watched, and would be connected again as they are.
        client.connection_pool.disconnect()
        client.connection_pool.reset()

    def is_settling(self) -> bool:
        """Tell whether the server changed so lately that living runs may not have renewed."""
        return time.monotonic() < self._settled_at

    def _connected(self, connection: Any) -> None:
        """Do what the library does on a new connection, and look; raises ConnectionError when the server has changed.

        What the connection was for is refused: it was asked for in the belief that the server knows all it knew.
        """
        connection.on_connect()
        connection.send_command("INFO", "server", check_health=False)
        server = _told_by(connection)
        with self._guard:
            # Where these are hidden, servers cannot be told apart, and none is taken for a young one.
            known, self._run_id = self._run_id, server.get("run_id", "")
            if not known:
                self._wait_for_the_living(connection, float(server.get("uptime_in_seconds", SETTLE_SECONDS)))
            if known in {"", self._run_id}:
                return
            self.changes += 1
            self._settled_at = time.monotonic() + SETTLE_SECONDS
        log.warning("server_changed: no job is claimed for %g s, so that living runs renew first", SETTLE_SECONDS)
        raise redis.ConnectionError("the server was restarted, or another one has taken its place")

    def _wait_for_the_living(self, connection: Any, age_seconds: float) -> None:
        """Where the server is young and not new, it may have been another one for runs that live."""
        missing_seconds = SETTLE_SECONDS - age_seconds
        if missing_seconds <= 0 or not _has(connection, self._queues):
            return
        self._settled_at = time.monotonic() + missing_seconds
        log.warning("server_young: no job is claimed for %g s, so that living runs renew first", missing_seconds)


def _has(connection: Any, key: str) -> bool:
    connection.send_command("EXISTS", key, check_health=False)
    return bool(connection.read_response())


def _told_by(connection: Any) -> dict[str, str]:
    try:
        return _fields_of(connection.read_response())
    except redis.ResponseError as fault:
        # One's user may lack the right to ask; all other work goes on.
        log.warning("server_not_told_apart reason=%s: a restarted server is noticed by a broken line alone", fault)
        return {}


def _fields_of(info: bytes | str) -> dict[str, str]:
    text = info.decode() if isinstance(info, bytes) else info
    return {name: value for name, _, value in (line.partition(":") for line in text.splitlines())}
