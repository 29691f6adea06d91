"""The step of Celery's consumer that keeps it from asking for messages while this worker is throttled."""

from typing import Any

from celery import Celery, bootsteps

from scriptfleet_workers.member import Member


class Intake(bootsteps.StartStopStep):  # type: ignore[misc]
    """Puts our condition before Celery's own, which asks for a message only while a slot is free.

    A message that waits stays in its list for other workers: cancelling the consumer would do as much, but slowly, and
    a reconnect would undo it. An order for a message that is already at the server (it lasts a second at most) is let
    end, since its answer may hold one: so one job can still come after the machine got too busy.
    """

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def start(self, consumer: Any) -> None:
        """Hook into the consumer's channel; Celery makes a new one, and calls this again, at each reconnect."""
        channel = consumer.task_consumer.channel
        has_room = channel.qos.can_consume

        def can_consume() -> bool:
            if Member.is_throttled() and not channel._in_poll:
                return False
            return bool(has_room())

        channel.qos.can_consume = can_consume


def register(app: Celery) -> None:
    """Add the step to the app's consumers."""
    app.steps["consumer"].add(Intake)
