"""Tells the broker how a run ended: its output, then its record and where the job goes now."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

import redis

from scriptfleet.domain.ids import new_run_id
from scriptfleet.errors import BlobTooLarge
from scriptfleet.execution.plain_file import open_plain
from scriptfleet.execution.workspace import ARTIFACTS
from scriptfleet.queues.claims import SHORTEST_LEASE_SECONDS, Claims, Ending, Finish
from scriptfleet.queues.events import OUTPUT_PIECE_BYTES, OutputPublisher
from scriptfleet_workers.broker_faults import PASSING, is_full, is_refusal
from scriptfleet_workers.kept_output import Pieces
from scriptfleet_workers.report import Report
from scriptfleet_workers.spool import Refused, Spool
from scriptfleet_workers.turn import Turn

log = logging.getLogger("scriptfleet.report")

_FIRST_WAIT, _LONGEST_WAIT = 0.2, 5.0
#: How long a worker that is told to stop goes on trying to reach the broker.
_PATIENCE_SECONDS: Final = 10.0
#: What a run may have written to.
STREAMS: Final = ("stdout", "stderr")


class _Sending:
    """One report on its way: what the broker has of it already is not sent again."""

    def __init__(self, report: Report, folder: Path, turn: Turn, written: Sequence[str] = STREAMS) -> None:
        self.report, self.folder, self.turn = report, folder, turn
        #: Whether the next job of the queue was asked for.
        self.has_asked = False
        self.at_ms = round(time.time() * 1000)
        self.streams = {name: Pieces(folder / name, OUTPUT_PIECE_BYTES) for name in written}
        self.artifacts = list(report.artifacts)

    def has_files(self) -> bool:
        """Tell whether there is output or an artifact."""
        return bool(self.artifacts) or any((self.folder / name).exists() for name in self.streams)


class Reporter:
    """Reports runs. All it sends may be sent twice: output pieces are numbered, a finish is fenced by the claim."""

    def __init__(
        self,
        claims: Claims,
        output: OutputPublisher,
        keep: Callable[[bytes], None],
        spool: Spool,
        stopping: threading.Event,
        keeps_output: Callable[[], bool] = lambda: False,
    ) -> None:
        """``keep`` stores an artifact; once ``stopping`` is set a report that cannot be sent goes to the spool.

        While it ``keeps_output``, output and artifacts go to the spool, and are sent when there is room for them.
        """
        self._claims, self._output, self._keep = claims, output, keep
        self._spool, self._stopping, self._keeps_output = spool, stopping, keeps_output

    def report(self, report: Report, folder: Path, turn: Turn, written: Sequence[str] = STREAMS) -> None:
        """Send the report of the run whose files lie in ``folder``; blocks until the broker has it, or the spool.

        The streams that were not ``written`` to are not looked for. Where its slot's turn goes on, that takes the next
        job of the queue along.
        """
        sending, wait, stopped_at = _Sending(report, folder, turn, written), _FIRST_WAIT, None
        while True:
            try:
                self._send(sending)
            except PASSING as fault:
                log.warning("report_waits job=%s run=%s reason=%s", report.job_id, report.run_id, fault)
            else:
                return
            if self._stopping.is_set():
                stopped_at = stopped_at or time.monotonic()
                if time.monotonic() - stopped_at > _PATIENCE_SECONDS:
                    self._spool.keep(report, folder)
                    return
            self._pause(wait)
            wait = min(wait * 2, _LONGEST_WAIT)

    def send_spooled(self) -> None:
        """Send what could not be sent, also by earlier workers of this home."""
        if self._keeps_output():
            return
        try:
            self._spool.send(self._send_late)
        except PASSING as fault:
            log.warning("spool_waits reason=%s", fault)

    def _pause(self, seconds: float) -> None:
        if self._stopping.is_set():
            # That event would not wait any more: the tries must not follow each other at once.
            threading.Event().wait(seconds)
        else:
            self._stopping.wait(seconds)

    def _send(self, sending: _Sending) -> None:
        is_kept_here = self._keeps_output() or not self._send_files(sending)
        report = sending.report
        ended = self._finish(sending)
        if ended is Finish.GONE:
            is_kept = self._claims.reassert(report.claim, SHORTEST_LEASE_SECONDS)
            log.warning("claim_reasserted job=%s run=%s kept=%s", report.job_id, report.run_id, is_kept)
            ended = self._claims.finish(_ending(report))
        _tell(report, ended)
        if is_kept_here and sending.has_files():
            self._spool.keep(replace(report, is_told=True), sending.folder)

    def _finish(self, sending: _Sending) -> Finish:
        """End the run; where its slot is to go on, take the next job on the same way."""
        ending = _ending(sending.report)
        if sending.has_asked or not sending.turn.goes_on():
            return self._claims.finish(ending)
        # Asked once: an answer that was lost on the way may have been a claim, and should not be two.
        sending.has_asked = True
        asked_at = time.monotonic()
        ended, claim = self._claims.finish_and_claim(ending, sending.report.claim.queue, new_run_id())
        if claim is not None:
            sending.turn.take(claim, asked_at)
        return ended

    def _send_late(self, report: Report, folder: Path) -> None:
        # The job may have ended and been forgotten since: it is never brought back.
        try:
            if not self._send_files(_Sending(report, folder, Turn())):
                raise redis.exceptions.OutOfMemoryError("the server is full again")
            if not report.is_told:
                _tell(report, self._claims.finish(_ending(report, is_late=True)))
        except redis.ResponseError as fault:
            if not is_refusal(fault):
                raise
            raise Refused(f"the server does not take it: {fault}") from fault

    def _send_files(self, sending: _Sending) -> bool:
        """Send output and artifacts; tell whether the server had room for all of it."""
        for stream in list(sending.streams):
            if not self._is_taken(partial(self._publish, sending, stream), "output", sending, stream):
                return False
            del sending.streams[stream]
        while sending.artifacts:
            sha256 = sending.artifacts[0]
            if not self._is_taken(partial(self._keep_one, sending, sha256), "artifact", sending, sha256):
                return False
            sending.artifacts.pop(0)
        return True

    def _is_taken(self, send: Callable[[], None], what: str, sending: _Sending, name: str) -> bool:
        run_id = sending.report.run_id
        try:
            send()
        except redis.ResponseError as fault:
            if not is_full(fault):
                raise
            log.warning("%s_kept_here run=%s name=%s reason=%s", what, run_id, name, fault)
            return False
        except (OSError, BlobTooLarge) as fault:
            # Of a full disk or a file that its script replaced no other try would come to more.
            log.warning("%s_left_out run=%s name=%s reason=%s", what, run_id, name, fault)
        return True

    def _publish(self, sending: _Sending, stream: str) -> None:
        report, pieces = sending.report, sending.streams[stream]
        self._output.publish(report.job_id, report.run_id, stream, pieces.rest(), sending.at_ms, first=pieces.done)

    def _keep_one(self, sending: _Sending, sha256: str) -> None:
        with open_plain(sending.folder / ARTIFACTS / sha256) as kept:
            self._keep(kept.read())


def _ending(report: Report, *, is_late: bool = False) -> Ending:
    return Ending(
        report.job_id,
        report.run_id,
        report.record,
        report.state,
        report.delay_seconds,
        report.is_loss,
        is_late,
        report.queue,
        report.is_out_of_memory,
        report.lane,
    )


def _tell(report: Report, ended: Finish) -> None:
    if ended is not Finish.DONE:
        log.warning("run_stale job=%s run=%s: its job has gone on without it", report.job_id, report.run_id)
