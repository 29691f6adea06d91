"""Tells the broker how a run ended: its output, then its record and where the job goes now."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import redis

from scriptfleet.execution.workspace import ARTIFACTS
from scriptfleet.queues.claims import SHORTEST_LEASE_SECONDS, Claims, Finish
from scriptfleet.queues.events import OUTPUT_PIECE_BYTES, OutputPublisher
from scriptfleet_workers.report import Report
from scriptfleet_workers.spool import Spool

log = logging.getLogger("scriptfleet.report")

_FIRST_WAIT, _LONGEST_WAIT = 0.2, 5.0
#: How long a worker that is told to stop goes on trying to reach the broker.
_PATIENCE_SECONDS: Final = 10.0
#: The broker's faults that pass: away, restarting, full, or read-only after a failover.
PASSING: Final = (redis.ConnectionError, redis.TimeoutError, redis.ResponseError)


class Reporter:
    """Reports runs. All it sends may be sent twice: output pieces are numbered, a finish is fenced by the claim."""

    def __init__(
        self,
        claims: Claims,
        output: OutputPublisher,
        keep: Callable[[bytes], None],
        spool: Spool,
        stopping: threading.Event,
    ) -> None:
        """``keep`` stores an artifact; once ``stopping`` is set a report that cannot be sent goes to the spool."""
        self._claims, self._output, self._keep = claims, output, keep
        self._spool, self._stopping = spool, stopping

    def report(self, report: Report, folder: Path) -> None:
        """Send the report of the run whose files lie in ``folder``; blocks until the broker has it, or the spool."""
        wait, stopped_at = _FIRST_WAIT, None
        while True:
            try:
                self._send(report, folder)
            except PASSING as fault:
                log.warning("report_waits job=%s run=%s reason=%s", report.job_id, report.run_id, fault)
                if self._stopping.is_set():
                    stopped_at = stopped_at or time.monotonic()
                    if time.monotonic() - stopped_at > _PATIENCE_SECONDS:
                        return self._spool.keep(report, folder)
                self._stopping.wait(wait)
                wait = min(wait * 2, _LONGEST_WAIT)
            else:
                return None

    def send_spooled(self) -> None:
        """Send what earlier workers of this home could not."""
        try:
            self._spool.send(self._send)
        except PASSING as fault:
            log.warning("spool_waits reason=%s", fault)

    def _send(self, report: Report, folder: Path) -> None:
        at_ms = round(time.time() * 1000)
        for stream in ("stdout", "stderr"):
            self._output.publish(report.job_id, report.run_id, stream, _pieces(folder / stream), at_ms)
        self._keep_artifacts(report, folder)
        ended = self._finish(report)
        if ended is Finish.GONE:
            is_kept = self._claims.reassert(report.claim, SHORTEST_LEASE_SECONDS)
            log.warning("claim_reasserted job=%s run=%s kept=%s", report.job_id, report.run_id, is_kept)
            ended = self._finish(report)
        if ended is not Finish.DONE:
            log.warning("run_stale job=%s run=%s: another run has the job by now", report.job_id, report.run_id)

    def _finish(self, report: Report) -> Finish:
        return self._claims.finish(
            report.job_id, report.run_id, report.record, report.state, report.delay_seconds, is_loss=report.is_loss
        )

    def _keep_artifacts(self, report: Report, folder: Path) -> None:
        for sha256 in report.artifacts:
            try:
                self._keep((folder / ARTIFACTS / sha256).read_bytes())
            except (redis.ResponseError, OSError) as fault:
                # A full server or disk: the outcome is worth more than a file, and must not wait for it.
                log.warning("artifact_left_out run=%s sha256=%s reason=%s", report.run_id, sha256, fault)


def _pieces(path: Path) -> Iterator[bytes]:
    if not path.exists():
        return
    with path.open("rb") as kept:
        while piece := kept.read(OUTPUT_PIECE_BYTES):
            yield piece
