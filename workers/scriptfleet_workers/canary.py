"""Whether messages reach this worker: one of its own, on a queue of its own, again and again.

A worker can be alive - its leases renewed, its control channel open - and read no message: its loop hangs, or its
connection for messages is dead or forgotten. The canary goes the way of every job's message, through the server's
list, that connection and Celery's loop, up to where a slot would get it. So what it proves is what jobs need.
"""

import logging
import time
import uuid
from collections.abc import Callable
from typing import Any, Final

import redis
from celery import Celery, Task
from kombu.entity import Queue

from scriptfleet.queues.keys import Keys
from scriptfleet.queues.message import message
from scriptfleet_workers.broker_faults import is_full
from scriptfleet_workers.own_queue import own_queue

log = logging.getLogger("scriptfleet.canary")

TASK: Final = "scriptfleet.canary"
#: How often one is sent; and how long one may take before the worker is not called ready any more.
_EVERY_SECONDS: Final = 5.0
_LATE_SECONDS: Final = 15.0
#: A gap between two looks in which this process or the server was away: what was late because of it does not count.
_GAP_SECONDS: Final = 5.0
_LIFE_MS: Final = 60_000


class Canary:
    """Sent and missed by the heartbeat's thread, heard by Celery's loop."""

    def __init__(self, client: redis.Redis, keys: Keys, name: str, patience_seconds: float) -> None:
        """After ``patience_seconds`` without one, with room and the server there, this worker is beyond help."""
        self.queue = queue_name(name)
        self._client, self._key = client, keys.celery_prefix + self.queue
        self._patience = patience_seconds
        self._sent_at = self._looked_at = -_EVERY_SECONDS
        self._missed_since: float | None = None
        #: CLOCK_MONOTONIC when the last one arrived.
        self.heard_at = time.monotonic()

    def heard(self) -> None:
        """One has arrived."""
        self.heard_at = time.monotonic()
        self._missed_since = None

    def look(self, has_room: bool) -> str:
        """Send one when it is time, and give why none arrives; empty while they do.

        To be called about once a second, right after the server has answered. A worker without room reads no messages.
        """
        now = time.monotonic()
        if not has_room or now - self._looked_at > _GAP_SECONDS:
            self._missed_since = None
        self._looked_at = now
        if has_room and now - self._sent_at >= _EVERY_SECONDS:
            self._send(now)
        missed = 0.0 if self._missed_since is None else now - self._missed_since
        if missed < min(_LATE_SECONDS, self._patience / 2):
            return ""
        return f"no message was read for {missed:.0f} s, though there is room and the broker answers"

    def is_beyond_help(self) -> bool:
        """Tell whether none arrived for so long that none will."""
        since = self._missed_since
        return since is not None and time.monotonic() - since >= self._patience

    def forget(self) -> None:
        """Take away what this worker will not read any more."""
        self._client.delete(self._key)

    def _send(self, now: float) -> None:
        # One at a time: what nobody reads must not pile up.
        pipeline = self._client.pipeline()
        pipeline.delete(self._key)
        pipeline.lpush(self._key, message(TASK, str(uuid.uuid4()), self.queue))
        pipeline.pexpire(self._key, _LIFE_MS)
        try:
            pipeline.execute()
        except redis.ResponseError as fault:
            if not is_full(fault):
                raise
            # Nothing was sent, so nothing can be missed.
            self._missed_since = None
            return
        self._sent_at = now
        self._missed_since = self._missed_since or now


def queue_name(name: str) -> str:
    """Give the queue of a worker's canary."""
    return f"canary.{name}"


def queue_of(name: str) -> Queue:
    """Give it as Celery consumes it."""
    return own_queue(queue_name(name))


def register(app: Celery, heard: Callable[[], None]) -> None:
    """Give the app the task that a canary is; Celery's loop calls ``heard`` and no slot is taken."""

    class CanaryTask(Task):  # type: ignore[misc]
        name = TASK
        ignore_result = True

        def start_strategy(self, app: Celery, consumer: Any, **_: Any) -> Callable[..., None]:
            def receive(message: Any, *_: Any, **__: Any) -> None:
                message.ack_log_error(log, consumer.connection_errors)
                heard()

            return receive

    app.register_task(CanaryTask())
