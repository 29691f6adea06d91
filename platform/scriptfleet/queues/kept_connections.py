"""Connections that stay taken from their pool between calls, for commands that are sent many hundred times a second.

The client's own way through its pool, its pipeline and its repeats takes several times as long as to send a command and
to read its answer. Here nothing is repeated, and a connection that was idle goes through the pool's checks again.
"""

import time
from collections.abc import Sequence
from typing import Any, Final

import redis

#: A connection that was used within so many seconds is taken as it is; a fault of it is one in the middle of a call.
_FRESH_SECONDS: Final = 1.0

Command = Sequence[str | int | float | bytes]


class KeptConnections:
    """Connections of one client's pool; safe to use from many threads."""

    def __init__(self, client: redis.Redis) -> None:
        self._pool = client.connection_pool
        #: Connections between calls, each with the CLOCK_MONOTONIC moment of its last use.
        self._spare: list[tuple[Any, float]] = []

    def exchange(self, commands: Sequence[Command]) -> list[Any]:
        """Send commands in one piece; give the answer to each, or the ResponseError that it is.

        Raises the client library's ConnectionError or TimeoutError: what was sent may have been done all the same.
        """
        connection = self._taken()
        try:
            connection.send_packed_command(connection.pack_commands(commands))
            answers = [_answer(connection) for _ in commands]
        except BaseException:
            # Whatever it would read next may be an answer to what was asked here.
            connection.disconnect()
            self._pool.release(connection)
            raise
        self._spare.append((connection, time.monotonic()))
        return answers

    def _taken(self) -> Any:
        while self._spare:
            try:
                connection, used_at = self._spare.pop()
            except IndexError:
                # Another thread was quicker.
                break
            if time.monotonic() - used_at < _FRESH_SECONDS:
                return connection
            self._pool.release(connection)
        return self._pool.get_connection()


def _answer(connection: Any) -> Any:
    try:
        return connection.read_response()
    except redis.ResponseError as fault:
        return fault
