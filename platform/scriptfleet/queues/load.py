"""The load of each queue: what autoscaling acts on. What it costs does not grow with the number of jobs that wait."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from scriptfleet.domain.worker_state import WorkerState
from scriptfleet.queues.client import Broker
from scriptfleet.queues.connection import told_plainly
from scriptfleet.queues.fleet import FleetView, QueueDepth, WorkerInfo

_LOOKED_AT: Final = 100
#: They take no job, and will not by themselves.
_LEAVING: Final = frozenset({WorkerState.CORDONED, WorkerState.DRAINING})


@dataclass(frozen=True, slots=True)
class QueueLoad:
    """How busy a queue is."""

    running: int = 0
    #: Waiting to be started; a paused queue's count too.
    queued: int = 0
    #: Not due yet: no reason for more workers.
    delayed: int = 0
    #: Of workers that serve it and take jobs; one that serves two queues counts for both.
    slots: int = 0
    workers: int = 0
    oldest_wait_seconds: float = 0.0
    is_paused: bool = False

    @property
    def jobs(self) -> int:
        """Jobs that have, or could have, a slot now."""
        return self.running + (0 if self.is_paused else self.queued)

    @property
    def load(self) -> float:
        """Jobs over slots: above 1 they wait for slots. Without any slot, each job counts as one."""
        return self.jobs / max(1, self.slots)


class Loads:
    """Asks the broker. Raises BrokerUnreachable."""

    def __init__(self, broker: Broker) -> None:
        self._broker, self._fleet = broker, FleetView(broker.redis, broker.keys)

    def all(self) -> dict[str, QueueLoad]:
        """Give the load of each queue that was ever used or is served."""
        with told_plainly(self._broker.url):
            told = self._broker.scripts.call("load", _LOOKED_AT)
            depths, workers = self._fleet.queues(), self._fleet.workers()
        now, waiting = int(told[0]), zip(told[1::2], told[2::2], strict=True)
        waits = {name.decode(): max(0, now - int(since)) / 1000 if int(since) else 0.0 for name, since in waiting}
        return {name: _load(name, depth, waits.get(name, 0.0), workers) for name, depth in depths.items()}


def _load(name: str, depth: QueueDepth, oldest_wait: float, workers: Iterable[WorkerInfo]) -> QueueLoad:
    serving = [worker for worker in workers if name in worker.queues and worker.state not in _LEAVING]
    return QueueLoad(
        running=depth.running,
        queued=depth.waiting,
        delayed=depth.delayed,
        slots=sum(worker.slots for worker in serving),
        workers=len(serving),
        oldest_wait_seconds=oldest_wait,
        is_paused=depth.paused_at_ms is not None,
    )
