"""Tells the broker how a run ended: its output, then its record and the job's next state. Does not give up."""

import json
import logging
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import redis

from scriptfleet.domain.run import RunRecord
from scriptfleet.domain.state import State
from scriptfleet.queues.claims import Claims
from scriptfleet.queues.events import OUTPUT_PIECE_BYTES, OutputPublisher
from scriptfleet_workers.active import ActiveRun
from scriptfleet_workers.live import LivePump

log = logging.getLogger("scriptfleet.report")

_FIRST_WAIT, _LONGEST_WAIT = 0.2, 5.0
#: The broker's faults that pass: away, restarting, full, or read-only after a failover.
PASSING: Final = (redis.ConnectionError, redis.TimeoutError, redis.ResponseError)


class Reporter:
    """Reports runs. All it sends may be sent twice: output pieces are numbered, a finish is fenced by the claim."""

    def __init__(self, claims: Claims, output: OutputPublisher, live: LivePump, giving_up: threading.Event) -> None:
        """``giving_up`` ends the tries of a worker that is told to stop at once."""
        self._claims, self._output, self._live, self._giving_up = claims, output, live, giving_up

    def report(self, run: ActiveRun, record: RunRecord, state: State, delay_seconds: float) -> None:
        """Send everything of one run; blocks until the broker has it."""
        wait = _FIRST_WAIT
        text = json.dumps(record.to_dict(), separators=(",", ":"))
        while True:
            try:
                self._send(run, record, text, state, delay_seconds)
            except PASSING as fault:
                log.warning("report_waits job=%s run=%s reason=%s", record.job_id, record.run_id, fault)
                if self._giving_up.wait(wait):
                    log.critical("report_given_up job=%s run=%s", record.job_id, record.run_id)
                    return
                wait = min(wait * 2, _LONGEST_WAIT)
            else:
                return

    def _send(self, run: ActiveRun, record: RunRecord, text: str, state: State, delay_seconds: float) -> None:
        self._live.finish(run)
        at_ms = round(time.time() * 1000)
        for stream, path in (("stdout", run.workspace.stdout), ("stderr", run.workspace.stderr)):
            self._output.publish(record.job_id, record.run_id, stream, _pieces(path), at_ms)
        if not self._claims.finish(record.job_id, record.run_id, text, state, delay_seconds):
            log.warning("run_stale job=%s run=%s: another run has the job by now", record.job_id, record.run_id)


def _pieces(path: Path) -> Iterator[bytes]:
    if not path.exists():
        return
    with path.open("rb") as kept:
        while piece := kept.read(OUTPUT_PIECE_BYTES):
            yield piece
