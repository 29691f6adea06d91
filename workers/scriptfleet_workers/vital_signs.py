"""What this worker says of itself about once a second, and what it hears and finds out by it."""

import time
from collections.abc import Mapping
from typing import Final, Protocol

import scriptfleet
from scriptfleet.execution.pipeline import this_host
from scriptfleet.queues.fleet import JOBS_NAMED, Presence, SignOfLife, Told
from scriptfleet_workers.active import ActiveRuns
from scriptfleet_workers.admission import Admission
from scriptfleet_workers.canary import Canary
from scriptfleet_workers.offer import memory_offered_mb, promises_of
from scriptfleet_workers.pressure import Pressure
from scriptfleet_workers.standing import Standing

#: Without an answer of the broker for so long, this worker is not called ready.
_AWAY_SECONDS: Final = 10.0
#: Its heartbeat takes a second; one that did not come for so long hangs.
_HUNG_SECONDS: Final = 120.0


class Body(Protocol):
    """What the signs are taken from."""

    @property
    def queues(self) -> list[str]:
        """The queues that it serves."""

    @property
    def labels(self) -> Mapping[str, str]:
        """What it offers to jobs that ask for it."""

    @property
    def slots(self) -> int:
        """How many runs it takes at once."""

    def is_open(self) -> bool:
        """Tell whether it would take a message now."""


class VitalSigns:
    """Given by the heartbeat's thread; asked by whoever wants to know how this worker is."""

    def __init__(
        self,
        body: Body,
        active: ActiveRuns,
        admission: Admission,
        standing: Standing,
        canary: Canary,
        pressure: Pressure,
    ) -> None:
        self.body, self.active, self.admission, self.standing = body, active, admission, standing
        self.canary, self.pressure = canary, pressure
        self.started_at = time.time()
        #: CLOCK_MONOTONIC of the last sign that was given, and of the last that was answered.
        self.given_at = self.answered_at = time.monotonic()

    def give(self, presence: Presence) -> Told:
        """Say how this worker is; give what is ordered. Raises the client library's errors."""
        self.given_at = time.monotonic()
        throttled = self.admission.look()
        told = presence.tell(self._sign(throttled))
        self.answered_at = time.monotonic()
        self.pressure.note(told.fullness)
        self.standing.note_deaf(self.canary.look(self.body.is_open()))
        return told

    def _sign(self, throttled: str) -> SignOfLife:
        runs, load = self.active.all(), self.admission.load
        return SignOfLife(
            host=this_host(),
            slots=self.body.slots,
            running=len(runs),
            queues=self.body.queues,
            version=scriptfleet.__version__,
            throttled=throttled or self.standing.deaf,
            state=self.standing.state(),
            jobs=tuple(run.claim.job_id for run in runs[:JOBS_NAMED]),
            cpu_percent=load.cpu_percent,
            memory_percent=load.memory_percent,
            started_at=self.started_at,
            labels=self.body.labels,
            memory_free_mb=memory_offered_mb(load.memory_free_mb, promises_of(runs)),
        )

    def why_not_alive(self) -> str:
        """Give why a supervisor should end this process; empty while it should not."""
        silent = time.monotonic() - self.given_at
        if silent > _HUNG_SECONDS:
            return f"its heartbeat has hung for {silent:.0f} s"
        return self.standing.deaf if self.canary.is_beyond_help() else ""

    def why_not_ready(self) -> str:
        """Give why it takes no jobs, unless it only waits for its machine to have time; empty while it does."""
        silent = time.monotonic() - self.answered_at
        if silent > _AWAY_SECONDS:
            return f"the broker has not answered for {silent:.0f} s"
        return self.standing.why_closed()
