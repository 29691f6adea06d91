"""Orders from the control channel: a job to stop. What is missed here is told with the next renewal of the lease."""

import json
import logging
import threading
from collections.abc import Callable
from typing import Final

import redis

from scriptfleet.queues.keys import Keys

log = logging.getLogger("scriptfleet.orders")

_LISTEN_SECONDS: Final = 1.0


class Orders:
    """One thread on a connection of its own."""

    def __init__(self, client: redis.Redis, keys: Keys, stop_job: Callable[[str], None]) -> None:
        self._client, self._channel, self._stop_job = client, keys("control"), stop_job
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="orders", daemon=True)

    def start(self) -> None:
        """Start listening."""
        self._thread.start()

    def close(self) -> None:
        """Stop listening."""
        self._stop.set()
        self._thread.join()

    def _loop(self) -> None:
        while not self._stop.is_set():
            try:
                self._listen()
            except redis.RedisError as fault:
                log.warning("orders_interrupted reason=%s", fault)
                self._stop.wait(_LISTEN_SECONDS)
            except Exception:
                # The edge of the thread: without it nobody would be stopped by order any more.
                log.exception("orders_broke")
                self._stop.wait(_LISTEN_SECONDS)

    def _listen(self) -> None:
        with self._client.pubsub(ignore_subscribe_messages=True) as channel:
            channel.subscribe(self._channel)
            while not self._stop.is_set():
                message = channel.get_message(timeout=_LISTEN_SECONDS)
                if message is not None:
                    self._obey(message["data"])

    def _obey(self, data: bytes) -> None:
        try:
            job_id = json.loads(data)["stop"]
        except (ValueError, KeyError, TypeError):
            log.warning("order_not_understood data=%r", data[:200])
            return
        self._stop_job(str(job_id))
