"""Restores what a wiped broker forgot: jobs that the store knows as unfinished are submitted again, each once.

A server that was wiped, or replaced by an empty one, has lost its epoch. Any number of services may do this at once:
which epoch is the new one, which job is written and when all are is decided by the broker and the database alone.
"""

import logging
import threading
from collections import Counter
from typing import Final, Protocol

import redis

from scriptfleet.errors import BrokerUnreachable, InvalidValue, StoreUnreachable
from scriptfleet.queues.claims import lease_seconds
from scriptfleet.queues.epoch import Epoch, Epochs
from scriptfleet.queues.restoring import LostJob, LostRun, Restored, Restoring
from scriptfleet.storage.broker_store import BrokerRow, BrokerStore
from scriptfleet.storage.engine import Database
from scriptfleet.storage.unfinished import UnfinishedJob, unfinished

_log = logging.getLogger(__name__)

_EVERY_SECONDS: Final = 1.0
#: How stale the store's own note of how far it is may be: more makes restoring begin later, less writes more.
_NOTE_SECONDS: Final = 10.0
#: Workers beat once a second.
_MARGIN_SECONDS: Final = 2.0
_SECRET_GONE: Final = "its spec held a secret, which the store does not keep"  # noqa: S105
_AWAY: Final = (redis.RedisError, BrokerUnreachable, StoreUnreachable)


class Events(Protocol):
    """How far the store is with the broker's events."""

    def stored_until(self) -> float:
        """Give the moment from before which all are stored, by the broker's clock."""


class Restore:
    """The thread that looks whether the broker was wiped, and then restores its jobs."""

    def __init__(
        self, epochs: Epochs, restoring: Restoring, events: Events, brokers: BrokerStore, database: Database
    ) -> None:
        self._epochs, self._restoring, self._events = epochs, restoring, events
        self._brokers, self._database = brokers, database
        self._known: BrokerRow | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="restore", daemon=True)
        #: Why the last look failed; None when it went well.
        self.trouble: str | None = None

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self, within_seconds: float = 30.0) -> None:
        """End; what is half restored is taken up by the next service."""
        self._stopping.set()
        self._thread.join(within_seconds)

    def _run(self) -> None:
        # At once: what is stored before the epoch is known could not be restored.
        while not self._stopping.is_set():
            try:
                self.look()
            except _AWAY as fault:
                self._tell(str(fault) or type(fault).__name__)
            except Exception as fault:  # the edge of this thread: nothing above would tell
                _log.exception("restore_failed")
                self.trouble = repr(fault)
            else:
                self.trouble = None
            self._stopping.wait(_EVERY_SECONDS)

    def _tell(self, trouble: str) -> None:
        if self.trouble is None:
            _log.warning("restore_waits reason=%s", trouble)
        self.trouble = trouble

    def look(self) -> None:
        """Compare the broker's epoch with the one that the store knows, and do what is due."""
        known = self._known or self._brokers.get()
        epoch = self._epochs.look(nothing_was_lost=known is None)
        if known is None:
            self._brokers.meet(epoch.id, epoch.now)
        elif known.epoch != epoch.id:
            self._note_other(self._brokers.get() or known, epoch)
        elif known.wiped_at is None:
            self._note_stored(known, epoch)
            return
        else:
            self._go_on(known, epoch)
        self._known = self._brokers.get()

    def _note_stored(self, known: BrokerRow, epoch: Epoch) -> None:
        if epoch.now - known.stored_until > _NOTE_SECONDS:
            self._brokers.note_stored(epoch.id, self._events.stored_until())
            known = self._brokers.get() or known
        self._known = known

    def _note_other(self, known: BrokerRow, epoch: Epoch) -> None:
        if known.epoch == epoch.id:
            return
        # Restored already: it is the database that is from another time, as after a backup was played back.
        wiped_at = None if epoch.is_restored else epoch.now
        if self._brokers.change_epoch(known.epoch, epoch.id, wiped_at):
            what = "broker_of_another_time" if epoch.is_restored else "broker_wiped"
            _log.warning("%s epoch=%s before=%s stored_until=%.3f", what, epoch.id, known.epoch, known.stored_until)

    def _go_on(self, known: BrokerRow, epoch: Epoch) -> None:
        if epoch.is_restored:
            # Another service did it, and could not say so here.
            self._brokers.note_restored(epoch.id, epoch.now)
        elif epoch.now >= due_at(known) and self._events.stored_until() >= due_at(known):
            self._restore_all(epoch)

    def _restore_all(self, epoch: Epoch) -> None:
        counts: Counter[str] = Counter()
        for job in unfinished(self._database):
            if self._stopping.is_set():
                return
            became = self._restore(job, epoch)
            counts[became] += 1
            if became == Restored.OVER:
                return
        if self._epochs.note_restored(epoch.id) and self._brokers.note_restored(epoch.id, epoch.now):
            said = " ".join(f"{name}={count}" for name, count in sorted(counts.items()))
            _log.warning("broker_restored epoch=%s %s", epoch.id, said or "jobs=0")

    def _restore(self, job: UnfinishedJob, epoch: Epoch) -> str:
        if job.spec is None:
            _log.error("job_not_restored job=%s reason=its submit was never seen", job.job_id)
            return "left"
        try:
            became = self._restoring.restore(lost_job(job, job.spec, epoch.now), epoch.id, is_wiped=True)
        except InvalidValue as fault:
            _log.error("job_not_restored job=%s reason=%s", job.job_id, fault)
            return "left"
        if became not in {Restored.KNOWN, Restored.OVER}:
            _log.warning("job_restored job=%s state=%s was=%s", job.job_id, became, job.state)
        return str(became)


def due_at(known: BrokerRow) -> float:
    """Give when the jobs of a wiped broker may be restored.

    What was claimed after the last stored event is known to its worker alone, which says so within its lease.
    """
    wiped_at = known.wiped_at or 0.0
    return wiped_at + lease_seconds(max(0.0, wiped_at - known.stored_until)) + _MARGIN_SECONDS


def lost_job(job: UnfinishedJob, spec: str, now: float) -> LostJob:
    """Give what it takes to write a job again."""
    # A run whose worker was lost is no attempt that counts; one that runs is taken back when it is rescued.
    uncounted = 1 if job.outcome == "lost" and job.state != "running" else 0
    return LostJob(
        job.job_id,
        spec,
        job.signature or "",
        due_ms=_ms(job.due_at),
        attempt=max(0, job.attempt - uncounted),
        losses=job.losses,
        out_of_memory=job.out_of_memory,
        first_start_ms=_ms(job.started_at),
        unfit=_SECRET_GONE if job.is_spec_whole is False else "",
        run=_lost_run(job, now),
    )


def _lost_run(job: UnfinishedJob, now: float) -> LostRun | None:
    if job.state != "running" or job.last_run_id is None:
        return None
    began = job.claimed_at or job.submitted_at
    return LostRun(job.last_run_id, job.worker or "", lease_seconds(max(0.0, now - began)), _ms(began))


def _ms(moment: float | None) -> int:
    return round((moment or 0.0) * 1000)
