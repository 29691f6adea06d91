"""Kombu's Redis transport, for a server that may be full while a worker connects or connects again."""

import logging
from typing import Any

import redis
from kombu.transport import TRANSPORT_ALIASES
from kombu.transport import redis as kombu_redis

from scriptfleet_workers.broker_faults import is_full

log = logging.getLogger("scriptfleet.intake")


class Channel(kombu_redis.Channel):
    """Goes on where a full server takes no note of a binding: lists and remote control are reached without."""

    def _queue_bind(self, exchange: Any, routing_key: Any, pattern: Any, queue: Any) -> None:
        try:
            super()._queue_bind(exchange, routing_key, pattern, queue)  # type: ignore[no-untyped-call]
        except redis.ResponseError as fault:
            if not is_full(fault):
                raise
            log.warning("broker_full queue=%s: not bound, which matters to no job: reason=%s", queue, fault)


class Transport(kombu_redis.Transport):
    """Kombu's own but for its channels."""

    Channel = Channel


def register() -> None:
    """Have this process's addresses mean this transport; those of sockets name it ``redis`` too."""
    for scheme in ("redis", "rediss"):
        TRANSPORT_ALIASES[scheme] = f"{__name__}:Transport"
