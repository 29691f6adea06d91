"""Jobs that have not ended, by group, labels and queue; read in batches, so that the server is never held up."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

from scriptfleet.domain import check
from scriptfleet.errors import InvalidValue
from scriptfleet.queues.connection import told_plainly
from scriptfleet.queues.marks import marks_of

if TYPE_CHECKING:
    from scriptfleet.queues.client import Broker

#: How many jobs one call to the server looks at, and one cancels.
BATCH: Final = 100


class LivingJobs:
    """The jobs of a group, with labels, or both; of one queue, where it is named."""

    def __init__(self, broker: "Broker", group: str | None, labels: Mapping[str, str], queue: str | None) -> None:
        self._broker = broker
        self._queue = None if queue is None else check.queue_name(queue)
        marks = marks_of(check.optional_text("group", group, 255), check.labels("labels", labels))
        if not marks:
            raise InvalidValue("jobs", "", "a group or labels to find them by")
        self._sets = [broker.keys("marked", mark) for mark in marks]

    def count(self) -> int:
        """Give how many there are now. Raises BrokerUnreachable."""
        return len({job_id for batch in self.batches() for job_id in batch})

    def batches(self) -> Iterator[list[str]]:
        """Give their ids, some at a time; one that changes meanwhile may come twice. Raises BrokerUnreachable."""
        with told_plainly(self._broker.url):
            server = self._broker.redis
            smallest, *others = sorted(self._sets, key=server.scard)
            cursor = -1
            while cursor:
                cursor, found = server.sscan(smallest, max(cursor, 0), count=BATCH)
                for start in range(0, len(found), BATCH):
                    if chosen := self._chosen(found[start : start + BATCH], others):
                        yield chosen

    def _chosen(self, found: list[bytes], others: list[str]) -> list[str]:
        pipeline = self._broker.redis.pipeline(transaction=False)
        for other in others:
            pipeline.smismember(other, found)
        if self._queue is not None:
            for job_id in found:
                pipeline.hget(self._broker.keys("job", job_id.decode()), "queue")
        answers = pipeline.execute() if pipeline.command_stack else []
        wanted = [all(in_set[at] for in_set in answers[: len(others)]) for at in range(len(found))]
        if self._queue is not None:
            queues = answers[len(others) :]
            wanted = [is_in and queue == self._queue.encode() for is_in, queue in zip(wanted, queues, strict=True)]
        return [job_id.decode() for job_id, is_wanted in zip(found, wanted, strict=True) if is_wanted]
