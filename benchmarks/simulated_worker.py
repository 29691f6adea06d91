"""`python -m benchmarks.simulated_worker WORKERS SLOTS`: workers of which all is real but the script: it is a sleep.

Each has its own heartbeat, leases and sign of life by the fleet's own code. Messages are taken as Celery takes them.
"""

import json
import os
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, Final

import scriptfleet
from scriptfleet.config import load_settings, own_environment
from scriptfleet.domain.ids import new_job_id, new_run_id
from scriptfleet.domain.state import State
from scriptfleet.execution import environment
from scriptfleet.execution.engine import Engine
from scriptfleet.execution.identity import Identity
from scriptfleet.execution.pipeline import Assignment, Surroundings, execute, this_host
from scriptfleet.execution.secret import SecretChain
from scriptfleet.execution.workspace import Workspace
from scriptfleet.queues import drafts
from scriptfleet.queues.claims import Claim, Claims, Ending
from scriptfleet.queues.client import Broker
from scriptfleet.queues.fleet import JOBS_NAMED, Presence, SignOfLife
from scriptfleet_workers.active import ActiveRuns
from scriptfleet_workers.heartbeat import Heartbeat

JOB_SECONDS: Final = 0.1
#: As a worker's thread does: so long it goes on without messages.
_TURN_SECONDS: Final = 0.5
_KEEP_SECONDS: Final = 3600.0
_QUEUE: Final = "default"


class SimulatedWorker:
    """One worker: a heartbeat and a thread a slot."""

    def __init__(self, broker: Broker, name: str, slots: int, record: str, stop: threading.Event) -> None:
        self._broker, self._slots, self._record, self._stop = broker, slots, record, stop
        self._claims = Claims(broker.redis, broker.keys, name, _KEEP_SECONDS)
        self._active = ActiveRuns()
        presence = Presence(broker.redis, broker.keys, name)
        self._heartbeat = Heartbeat(self._claims, self._active, presence, self._tell)
        self._threads = [threading.Thread(target=self._serve, daemon=True) for _ in range(slots)]

    def start(self) -> None:
        """Begin to beat and to take jobs."""
        self._heartbeat.start()
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """End; the stop is set already."""
        for thread in self._threads:
            thread.join()
        self._heartbeat.close()

    def _tell(self, presence: Presence) -> None:
        jobs = tuple(run.claim.job_id for run in self._active.all()[:JOBS_NAMED])
        sign = SignOfLife(this_host(), self._slots, len(jobs), [_QUEUE], scriptfleet.__version__, jobs=jobs)
        presence.tell(sign)

    def _serve(self) -> None:
        while not self._stop.is_set():
            claim = self._by_message()
            until = time.monotonic() + _TURN_SECONDS
            while claim is not None:
                claim = self._run(claim, until)

    def _by_message(self) -> Claim | None:
        taken: Any = self._broker.redis.brpop([self._broker.keys.celery_prefix + _QUEUE], 1)
        if taken is None:
            return None
        claim = self._claims.claim(json.loads(taken[1])["headers"]["id"], new_run_id())
        return claim if isinstance(claim, Claim) else None

    def _run(self, claim: Claim, until: float) -> Claim | None:
        with self._active.entered(claim, Workspace(Path(os.devnull)), time.monotonic()):
            time.sleep(JOB_SECONDS)
            ending = Ending(claim.job_id, claim.run_id, self._record, State.SUCCEEDED)
            if self._stop.is_set() or time.monotonic() > until:
                self._claims.finish(ending)
                return None
            _, onward = self._claims.finish_and_claim(ending, _QUEUE, new_run_id())
            return onward


def record_of_true() -> str:
    """Give what a worker reports of a real run, as JSON."""
    own = own_environment()
    engine = Engine()
    around = Surroundings(engine, environment.on_fleet(own), SecretChain(), cache=None)
    who = Identity(new_run_id(), new_job_id(), 1, "local", this_host())
    with tempfile.TemporaryDirectory(prefix="sf-bench-") as folder:
        record = execute(around, Assignment(who, drafts.of_command("true").spec, Workspace(Path(folder, who.run_id))))
    engine.close()
    return json.dumps(record.to_dict(), separators=(",", ":"))


def main() -> None:
    """Run workers until the process is told to end."""
    count, slots = int(sys.argv[1]), int(sys.argv[2])
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    broker, record = Broker(load_settings()), record_of_true()
    workers = [SimulatedWorker(broker, f"w{os.getpid()}-{n}", slots, record, stop) for n in range(count)]
    for worker in workers:
        worker.start()
    stop.wait()
    for worker in workers:
        worker.close()


if __name__ == "__main__":
    main()
