"""Kombu's Redis transport, for a server that may be full while a worker connects or connects again."""

import logging
from typing import Any

import redis
from kombu.transport import TRANSPORT_ALIASES, virtual
from kombu.transport import redis as kombu_redis
from kombu.utils.json import dumps

from scriptfleet_workers.broker_faults import is_full

log = logging.getLogger("scriptfleet.intake")


class QoS(kombu_redis.QoS):
    """Notes of messages that came and were not acknowledged; of no use for a job, whose message the tick misses."""

    def append(self, message: Any, delivery_tag: str) -> None:
        """Note a message. Where a full server takes no note, Celery would end the worker."""
        try:
            super().append(message, delivery_tag)  # type: ignore[no-untyped-call]
        except redis.ResponseError as fault:
            if not is_full(fault):
                raise
            log.warning("message_not_noted tag=%s reason=%s", delivery_tag, fault)
            virtual.QoS.append(self, message, delivery_tag)  # type: ignore[no-untyped-call]

    def restore_visible(self, *arguments: Any, **options: Any) -> None:
        """Put back what others noted and did not acknowledge; on a full server, the next time."""
        try:
            super().restore_visible(*arguments, **options)  # type: ignore[no-untyped-call]
        except redis.ResponseError as fault:
            if not is_full(fault):
                raise
            log.warning("restoring_waits reason=%s", fault)


class Channel(kombu_redis.Channel):
    """Goes on where a full server takes no note of a binding: lists and remote control are reached without."""

    QoS = QoS
    #: Kombu makes a client for each command, which takes longer than the command.
    _kept_client: Any = None
    #: How many hear what is published to all, by the last that was.
    hearers = 1

    def _queue_bind(self, exchange: Any, routing_key: Any, pattern: Any, queue: Any) -> None:
        try:
            super()._queue_bind(exchange, routing_key, pattern, queue)  # type: ignore[no-untyped-call]
        except redis.ResponseError as fault:
            if not is_full(fault):
                raise
            log.warning("broker_full queue=%s: not bound, which matters to no job: reason=%s", queue, fault)

    def _create_client(self, asynchronous: bool = False) -> Any:
        if asynchronous:
            return super()._create_client(asynchronous=True)  # type: ignore[no-untyped-call]
        if self._kept_client is None or self._kept_client.connection_pool is not self.pool:
            self._kept_client = super()._create_client()  # type: ignore[no-untyped-call]
        return self._kept_client

    def _put_fanout(self, exchange: str, message: Any, routing_key: str, **options: Any) -> None:
        if options.get("_publish_batch") is not None:
            super()._put_fanout(exchange, message, routing_key, **options)  # type: ignore[no-untyped-call]
            return
        text = dumps(message)  # type: ignore[no-untyped-call]
        with self.conn_or_acquire() as client:
            topics = self._get_publish_topics(exchange, routing_key)  # type: ignore[no-untyped-call]
            self.hearers = sum(client.publish(topic, text) for topic in topics)


class Transport(kombu_redis.Transport):
    """Kombu's own but for its channels."""

    Channel = Channel


def register() -> None:
    """Have this process's addresses mean this transport; those of sockets name it ``redis`` too."""
    for scheme in ("redis", "rediss"):
        TRANSPORT_ALIASES[scheme] = f"{__name__}:Transport"
