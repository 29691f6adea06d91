"""The epoch: an id that the broker's memory is given once, so that a server that was wiped is known as such."""

from dataclasses import dataclass
from uuid import uuid4

import redis

from scriptfleet.queues.keys import Keys
from scriptfleet.queues.scripts import Scripts


@dataclass(frozen=True, slots=True)
class Epoch:
    """What a server says of its memory."""

    id: str
    #: Whether what was lost with the one before is restored; true where there was none before.
    is_restored: bool
    #: The server's clock, seconds since the epoch.
    now: float


class Epochs:
    """The epoch of one namespace. Raises the client library's errors."""

    def __init__(self, client: redis.Redis, keys: Keys) -> None:
        self._client, self._key = client, keys("epoch")
        self._scripts = Scripts(client, keys)

    def peek(self) -> str | None:
        """Give the server's epoch as it is; None where there is none."""
        found = self._client.hget(self._key, "id")
        return None if found is None else str(found.decode())

    def look(self, *, nothing_was_lost: bool) -> Epoch:
        """Give the server's epoch, and make one where there is none.

        ``nothing_was_lost`` says that no earlier one is known: then there is nothing to restore. Safe to repeat.
        """
        found, restored, now_ms = self._scripts.call("epoch", "look", uuid4().hex, "1" if nothing_was_lost else "")
        return Epoch(found.decode(), bool(restored), int(now_ms) / 1000)

    def note_restored(self, epoch: str) -> bool:
        """Note that all that was lost is restored; give whether the server still has this epoch."""
        return bool(self._scripts.call("epoch", "restored", epoch))
