"""Orders to a queue: pause, resume, purge. Each holds for the whole fleet at once."""

from typing import TYPE_CHECKING, Final

from scriptfleet.domain import check
from scriptfleet.queues.connection import told_plainly
from scriptfleet.queues.message import template

if TYPE_CHECKING:
    from scriptfleet.queues.client import Broker

#: So few that the server is not held up: about 10 ms.
_MOST_PER_CALL: Final = 200


class QueueControl:
    """Controls one queue. Raises InvalidValue for a name that cannot be, BrokerUnreachable."""

    def __init__(self, broker: "Broker", queue: str) -> None:
        self._broker, self._queue = broker, check.queue_name(queue)

    def pause(self) -> bool:
        """Let no more jobs of the queue start; give whether they did before.

        Submits are accepted and what runs goes on. Jobs that were with Celery stand in line again.
        """
        return self._told("pause")

    def resume(self) -> bool:
        """Let jobs start again; give whether the queue was paused."""
        return self._told("resume")

    def purge(self, most: int) -> int:
        """Cancel the jobs that wait in the queue, also delayed ones, ``most`` at the most; give how many.

        Jobs submitted meanwhile may be among them.
        """
        cancelled = 0
        for which in ("queued", "delayed"):
            cancelled += self._purge(which, most - cancelled)
        return cancelled

    def _purge(self, which: str, most: int) -> int:
        cancelled = place = 0
        while place >= 0 and cancelled < most:
            batch = min(_MOST_PER_CALL, most - cancelled)
            with told_plainly(self._broker.url):
                found = self._broker.scripts.call("purge", self._queue, which, batch, place, self._broker.keep_ms)
            cancelled, place = cancelled + int(found[0]), int(found[1])
        return cancelled

    def _told(self, what: str) -> bool:
        with told_plainly(self._broker.url):
            return bool(self._broker.scripts.call("pause", what, self._queue, template()))
