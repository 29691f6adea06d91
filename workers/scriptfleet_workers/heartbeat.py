"""The heartbeat: one thread that renews all leases of this worker, says that it lives, and ticks."""

import json
import logging
import os
import signal
import time
from collections.abc import Callable, Sequence
from typing import Final

import redis

from scriptfleet.domain.outcome import StopReason
from scriptfleet.domain.sample import Sample
from scriptfleet.queues.claims import Claims, Renewal
from scriptfleet.queues.fleet import Presence
from scriptfleet_workers.active import ActiveRun, ActiveRuns
from scriptfleet_workers.rounds import Rounds

log = logging.getLogger("scriptfleet.heartbeat")

_EVERY_SECONDS: Final = 1.0
#: How long one beat may go on with ticks that have more to do.
_TICKING_SECONDS: Final = 0.25
#: What a page draws of a run that goes on; the whole curve comes with its record.
_LIVE_POINTS: Final = 60
#: A fault of ours that comes so many times in a row does not pass.
_MOST_FAILED: Final = 10


class Heartbeat:
    """Beats once a second. When the broker is away it goes on trying: the shims end what is not renewed in time."""

    def __init__(
        self,
        claims: Claims,
        active: ActiveRuns,
        presence: Presence,
        tell: Callable[[Presence], None],
        is_stop: Callable[[bytes, str], bool] = lambda text, job_id: True,
        drops_samples: Callable[[], bool] = lambda: False,
        server_changes: Callable[[], int] = lambda: 0,
        rate_due: Callable[[float], None] = lambda _: None,
        looked_at: Callable[[], set[str]] = set,
    ) -> None:
        """``tell`` gives the sign of life; ``is_stop`` says whether a text is an order to stop a job;
        ``drops_samples`` whether readings are left out; ``server_changes`` how often the server was another one;
        ``rate_due`` hears in how many seconds a rate that is used up has room again; ``looked_at`` which jobs
        somebody looks at closely, so that their readings are told at each beat.
        """
        self._claims, self._active, self._presence = claims, active, presence
        self._tell, self._is_stop, self._drops_samples = tell, is_stop, drops_samples
        self._rounds = Rounds("heartbeat", _EVERY_SECONDS, self._beat)
        self._is_away, self._rate_due, self._looked_at = False, rate_due, looked_at
        self._server_changes, self._changes_told = server_changes, server_changes()

    def start(self) -> None:
        """Say that this worker is there, then beat."""
        self._rounds.once()
        self._rounds.start()

    def close(self) -> None:
        """Stop beating, and leave the list of workers."""
        self._rounds.close()
        try:
            self._presence.leave()
        except redis.RedisError as fault:
            log.warning("leave_failed reason=%s: the list forgets this worker by itself", fault)

    def _beat(self) -> None:
        try:
            self._beat_parts()
        except Exception:
            if self._rounds.failed + 1 == _MOST_FAILED:
                # Its leases run out, and whoever runs it starts it anew: better than a worker that only seems to live.
                log.critical("heartbeat_broken: ending this worker")
                os.kill(os.getpid(), signal.SIGTERM)
            raise

    def _beat_parts(self) -> None:
        """Do all parts, each whatever became of those before it: a full server refuses some and takes others."""
        faults = [self._tried(part) for part in (self._renew, self._say, self._tick)]
        first = next((fault for fault in faults if fault), None)
        if first and not self._is_away:
            log.warning("broker_away reason=%s", first)
        elif self._is_away and not first:
            log.warning("broker_back")
        self._is_away = first is not None
        broken = [fault for fault in faults if fault and not isinstance(fault, redis.RedisError)]
        if broken:
            raise broken[0]

    def _tried(self, part: Callable[[], None]) -> Exception | None:
        try:
            part()
        except Exception as fault:
            # The edge of each part; what is not the broker's fault is raised again after the last one.
            return fault
        return None

    def _say(self) -> None:
        self._tell(self._presence)

    def _tick(self) -> None:
        until = time.monotonic() + _TICKING_SECONDS
        while True:
            done = self._claims.tick()
            if done.rescued or done.resent:
                log.warning("tick rescued=%d resent=%d", done.rescued, done.resent)
            if done.rate_due_seconds is not None:
                self._rate_due(done.rate_due_seconds)
            # Many jobs may be due at the same moment; the server has others to serve meanwhile.
            if not done.is_full or time.monotonic() > until:
                return

    def _renew(self) -> None:
        now, looked_at = time.monotonic(), self._looked_at()
        changes = self._server_changes()
        # A server that was away may have forgotten claims: all are told again before others take their jobs.
        tells_all = self._is_away or changes != self._changes_told
        due = {run.claim.run_id: run for run in self._active.all() if tells_all or self._is_due(run, now, looked_at)}
        if not due:
            self._changes_told = changes
            return
        granted = {run_id: run.lease_seconds for run_id, run in due.items()}
        read = (lambda run: "-") if self._drops_samples() else _reading
        wanted = [Renewal(run.claim.job_id, run_id, granted[run_id], read(run)) for run_id, run in due.items()]
        for run_id, answer in self._claims.renew(wanted).items():
            run = due[run_id]
            if answer == "lost" or (answer == "gone" and not self._reassert(run, granted[run_id])):
                log.warning("lease_lost job=%s run=%s: stopping it", run.claim.job_id, run_id)
                run.stop(StopReason.LEASE, 0.0)
                continue
            run.renewed(now, granted[run_id])
            if answer == "cancel" and self._is_stop(self._claims.order_to_cancel(run.claim.job_id), run.claim.job_id):
                run.stop(StopReason.CANCELLED)
        self._changes_told = changes

    def _is_due(self, run: ActiveRun, now: float, looked_at: set[str]) -> bool:
        return run.has_news() or run.renew_at <= now or run.claim.job_id in looked_at

    def _reassert(self, run: ActiveRun, lease: float) -> bool:
        """The server has forgotten the job: put it back, unless it knows something newer by now."""
        is_kept = self._claims.reassert(run.claim, lease)
        log.warning("claim_reasserted job=%s run=%s kept=%s", run.claim.job_id, run.claim.run_id, is_kept)
        return is_kept


def _reading(run: ActiveRun) -> str:
    running = run.running
    curve = running.watched.curve if running and running.watched else None
    reading: dict[str, object] = {}
    if curve and curve.last:
        now = curve.last
        reading = {"seconds": now.seconds, "cpu_percent": now.cpu_percent, "memory_mb": now.memory_mb}
        reading |= {"processes": now.processes}
        reading |= {"block_io_read_bytes": now.block_io_read_bytes, "block_io_write_bytes": now.block_io_write_bytes}
        reading["curve"] = _thinned(curve.points(), now)
    if run.progress is not None:
        reading |= {"progress": run.progress.fraction, "message": run.progress.message}
    return json.dumps(reading) if reading else ""


def _thinned(points: Sequence[Sample], now: Sample) -> list[Sample]:
    """Give so few points of a curve, the newest among them, that a reading stays small."""
    before = [one for one in points if one.seconds < now.seconds]
    step = -(-len(before) // _LIVE_POINTS) or 1
    kept = [*before[::-step][::-1], now]
    return [one._replace(seconds=round(one.seconds, 2), memory_mb=round(one.memory_mb, 1)) for one in kept]
