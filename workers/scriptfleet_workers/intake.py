"""The step of Celery's consumer that decides when it asks for messages."""

import logging
from typing import Any

import redis
from celery import Celery, bootsteps

from scriptfleet_workers.member import Member

log = logging.getLogger("scriptfleet.intake")


class Intake(bootsteps.StartStopStep):  # type: ignore[misc]
    """Puts our condition before Celery's own, which counts the slots of messages only.

    A slot may go on with jobs that came without one: it is not free, and a message that was taken then would wait for
    it here, where no other worker can have it.

    A message that waits stays in its list for other workers: cancelling the consumer would do as much, but slowly, and
    a reconnect would undo it. An order for a message that is already at the server (it lasts a second at most) is let
    end, since its answer may hold one: so one job can still come after the machine got too busy.
    """

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def close(self, consumer: Any) -> None:
        """A shutdown has begun, however it was asked for; a reconnect does not come here."""
        if Member.is_joined():
            Member.current().begin_to_leave()

    def stop(self, consumer: Any) -> None:
        """Before the runs are waited for, put back what the server may already have handed out."""
        if Member.is_joined() and Member.current().way_out.begun.is_set() and consumer.task_consumer:
            _put_back(consumer.task_consumer.channel)

    def start(self, consumer: Any) -> None:
        """Hook into the consumer's channel; Celery makes a new one, and calls this again, at each reconnect."""
        channel = consumer.task_consumer.channel
        has_room = channel.qos.can_consume

        def can_consume() -> bool:
            if not Member.has_room() and not channel._in_poll:
                return False
            return bool(has_room())

        channel.qos.can_consume = can_consume
        # The loop asks for messages when it wakes; while all slots are busy there is nothing else to wake it at once.
        if consumer.hub is not None:
            consumer.hub.add_reader(Member.current().slot_bell.number, Member.current().slot_bell.heard)


def _put_back(channel: Any) -> None:
    """Read the answer to an order for a message that is at the server still, for a second at most, and undo it.

    Celery would read it after the last run's end only.
    """
    if not channel._in_poll:
        return
    try:
        answer = channel.client.parse_response(channel.client.connection, "BRPOP")
        channel._in_poll = None
        if answer:
            queue, message = answer[0].decode(), answer[1]
            channel.client.rpush(queue, message)
            log.info("message_put_back queue=%s", queue)
    except (redis.RedisError, OSError) as fault:
        # The tick misses the job and sends another message.
        log.warning("message_not_put_back reason=%s", fault)


def register(app: Celery) -> None:
    """Add the step to the app's consumers."""
    app.steps["consumer"].add(Intake)
