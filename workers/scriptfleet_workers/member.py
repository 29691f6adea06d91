"""This process as a member of the fleet: everything that one worker is made of, put together once."""

import gc
import logging
import os
import signal
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final

import redis
from celery import Celery

from scriptfleet.config import Settings, own_environment
from scriptfleet.domain.http_allow import AllowList
from scriptfleet.domain.outcome import StopReason
from scriptfleet.errors import EngineFailed
from scriptfleet.execution import environment
from scriptfleet.execution.cgroups.method import Method
from scriptfleet.execution.conclude import this_platform
from scriptfleet.execution.engine import Engine
from scriptfleet.execution.pipeline import Surroundings, this_host
from scriptfleet.execution.program import ARTIFACT_MAX_BYTES, HostRules
from scriptfleet.execution.secret import secrets_of
from scriptfleet.execution.workspace import SourceCache, Workspaces
from scriptfleet.queues.claims import Claims
from scriptfleet.queues.client import Broker
from scriptfleet.queues.connection import check_server, told_plainly
from scriptfleet.queues.events import OutputPublisher
from scriptfleet.queues.fleet import Presence, own_list
from scriptfleet.queues.orders import Verb
from scriptfleet.queues.server_watch import ServerWatch
from scriptfleet_workers.active import ActiveRuns
from scriptfleet_workers.admission import Admission
from scriptfleet_workers.alive import is_alive
from scriptfleet_workers.bell import Bell
from scriptfleet_workers.canary import Canary
from scriptfleet_workers.close_view import CloseView
from scriptfleet_workers.drain import Drain
from scriptfleet_workers.due_rates import DueRates
from scriptfleet_workers.escape import Escape
from scriptfleet_workers.heartbeat import Heartbeat
from scriptfleet_workers.live import LivePump
from scriptfleet_workers.orders import Orders
from scriptfleet_workers.pressure import Pressure
from scriptfleet_workers.reporter import Reporter
from scriptfleet_workers.rounds import Rounds
from scriptfleet_workers.run import Done, NotClaimed, Runner
from scriptfleet_workers.run_folders import RunFolders
from scriptfleet_workers.spool import Spool
from scriptfleet_workers.standing import Standing
from scriptfleet_workers.tally import Tally
from scriptfleet_workers.task_events import TaskEvents
from scriptfleet_workers.time_limits import TimeLimits
from scriptfleet_workers.turn import Turn
from scriptfleet_workers.vital_signs import VitalSigns

if TYPE_CHECKING:
    from scriptfleet_workers.health import HealthServer

log = logging.getLogger("scriptfleet.worker")

#: New objects between two collections of the youngest; Python's own number is 700, which a run makes several times.
_MOST_YOUNG: Final = 20_000
#: How often it is tried to send reports that lie in the spool.
_SPOOL_SECONDS: Final = 30.0
#: Between TERM and KILL of runs that outlast the drain: their own grace, at most this.
_LAST_GRACE_SECONDS: Final = 5.0


class Member:
    """One worker. Celery gives its pool and tasks no way to pass it along, so the process has the one it joined as."""

    _current: ClassVar["Member | None"] = None

    def __init__(self, app: Celery, settings: Settings, name: str, slots: int, limits: TimeLimits) -> None:
        broker = Broker(settings)
        check_server(broker.redis, broker.url)
        # Celery's events bear Celery's name, whatever the fleet calls this process.
        self._events = TaskEvents(app, name)
        name = _own_name(broker, name)
        self._app, self.name, self.slots = app, name, slots
        #: Tokens of the slots that run something, also without a message.
        self.busy_slots: set[int] = set()
        #: Rings when one of them is free again.
        self.slot_bell = Bell()
        self._broker, self._settings = broker, settings
        self._server = ServerWatch(broker.redis, broker.keys)
        keep_seconds = settings.result_hours * 3600
        self._inheritance = environment.on_fleet(own_environment(), settings.secret_prefixes, settings.allow_loader_env)
        self._engine = Engine(method=Method(settings.monitor), warm_env=self._inheritance.clean, is_for_many=slots > 1)
        self.active = ActiveRuns()
        self._admission = Admission.of(settings)
        self.way_out = Drain(settings.drain_seconds, lambda: self.stop_all(StopReason.SHUTDOWN))
        self.standing = Standing(self._admission, self.way_out.begun, self._server.is_settling)
        self.tally, self._pressure = Tally(), Pressure()
        self._turns = threading.local()
        # Jobs that are refused take no slot: a few at a time, so that a queue full of them starves nobody.
        self._refusals = ThreadPoolExecutor(1, thread_name_prefix="refusals")
        self._claims = claims = Claims(broker.redis, broker.keys, name, keep_seconds, settings.signing_key)
        self._live = LivePump(broker.live_output, self.active, keep_seconds, self._pressure)
        self._make_vital_parts(claims)
        output = OutputPublisher(broker.redis, broker.keys, settings.signing_key)
        keep = partial(broker.blobs.keep, seconds=keep_seconds)
        stop = (self.way_out.begun, self._pressure.keeps_output)
        self._reporter = Reporter(claims, output, keep, Spool(settings.home / "spool"), *stop)
        self._spool_rounds = Rounds("spool", _SPOOL_SECONDS, self._reporter.send_spooled)
        self._folders = RunFolders(settings.home / "runs")
        around, workspaces = self._surroundings(), Workspaces(self._folders.path)
        self._runner = Runner(
            settings=settings,
            workspaces=workspaces,
            worker=name,
            claims=claims,
            around=around,
            active=self.active,
            reporter=self._reporter,
            live=self._live,
            limited=limits.applied,
            tally=self.tally,
            drops_samples=self._pressure.drops_samples,
        )

    def _make_vital_parts(self, claims: Claims) -> None:
        """Make what keeps this worker in touch with the fleet, and has it leave when it is not."""
        broker, settings, key = self._broker, self._settings, self._settings.signing_key
        self._presence = Presence(broker.redis, broker.keys, self.name)
        self._canary = Canary(broker.redis, broker.keys, self._events.hostname, settings.deaf_seconds)
        self._signs = VitalSigns(self, self.active, self._admission, self.standing, self._canary, self._pressure)
        self._orders = Orders(broker.redis, broker.keys, self.name, key, self, self.tally)
        view = CloseView(broker.close_looks, self.active, self._pressure.drops_samples)
        heed = (self._tell, self._orders.is_stop, self._pressure.drops_samples, lambda: self._server.changes)
        self._due_rates = DueRates(claims.open_due_rates)
        self._heartbeat = Heartbeat(claims, self.active, self._presence, *heed, self._due_rates.note, view.jobs)
        self._escape = Escape(self.way_out, self.active, self.leave)
        self._health = self._health_server()

    @classmethod
    def join(cls, app: Celery, settings: Settings, name: str, slots: int, limits: TimeLimits) -> "Member":
        """Make this process a worker of the fleet. Raises BrokerUnreachable."""
        member = cls(app, settings, name, slots, limits)
        member._folders.clean_up()
        this_platform()
        member._engine.warm_up(min(slots, os.cpu_count() or 1))
        if settings.warm_preload is not None:
            member._engine.warm_up(1, settings.warm_preload)
        member._live.start()
        member._orders.start()
        # Before the first tick, which would rescue jobs whose reports lie there.
        member._spool_rounds.once()
        member._heartbeat.start()
        member._due_rates.start()
        if member._health is not None:
            member._health.start()
        member._events.start()
        member._spool_rounds.start()
        cls._current = member
        _settle_memory()
        log.info("worker_joined name=%s slots=%d queues=%s", member.name, slots, ",".join(member.queues))
        return member

    @property
    def labels(self) -> Mapping[str, str]:
        """What it offers to jobs that ask for it."""
        return self._settings.worker_labels or {}

    @property
    def queues(self) -> list[str]:
        """The queues that it serves now: Celery's orders may add some and take some away."""
        return sorted(set(self._app.amqp.queues.consume_from) - {self._canary.queue, own_list(self.name)})

    @classmethod
    def is_joined(cls) -> bool:
        """Tell whether this process is a member."""
        return cls._current is not None

    @classmethod
    def current(cls) -> "Member":
        """Give the member that this process is."""
        if cls._current is None:
            raise EngineFailed("this process is no worker of the fleet: it was not started by `celery worker`")
        return cls._current

    @classmethod
    def has_room(cls) -> bool:
        """Tell whether this process may take a message: nothing keeps jobs out, and a slot is free."""
        return cls._current is None or cls._current.is_open()

    def is_open(self) -> bool:
        """Tell whether nothing keeps jobs out and a slot is free."""
        return self.standing.takes_jobs() and len(self.busy_slots) < self.slots

    def heard_canary(self) -> None:
        """Note that a message of this worker's own has come the way that those of jobs come."""
        self._canary.heard()

    @classmethod
    def leave(cls) -> None:
        """Leave the fleet; safe to repeat."""
        member, cls._current = cls._current, None
        if member is not None:
            member._close()

    def run_job(self, job_id: str, message_list: str) -> Done | NotClaimed:
        """Run a job whose message came by this list; once this worker is told to take none, hand it back for others."""
        if reason := self.standing.must_hand_back():
            self._hand_back(job_id, reason)
            return NotClaimed(reason)
        self._turns.here = Turn(self._may_go_on)
        return self._runner.run_job(job_id, self._turns.here, message_list)

    def _hand_back(self, job_id: str, reason: str) -> None:
        try:
            is_back = self._claims.hand_back(job_id)
        except redis.RedisError as fault:
            # The tick misses the job and sends another message.
            log.warning("not_handed_back job=%s reason=%s", job_id, fault)
        else:
            log.info("handed_back job=%s reason=%s back=%s", job_id, reason, is_back)

    def refuse(self, job_id: str, message_list: str) -> None:
        """End a queued job whose kind this worker does not have, without waiting for it."""
        self._refusals.submit(self._refuse, job_id, message_list)

    def _refuse(self, job_id: str, message_list: str) -> None:
        try:
            self._runner.run_job(job_id, Turn(), message_list)
        except Exception:
            # The edge of the thread: nobody reads what a future keeps.
            log.exception("refusal_broke job=%s", job_id)

    def go_on(self) -> None:
        """Run more of the queue that this thread's last job came from, for a short while, without messages.

        A message costs Celery about a millisecond of CPU, as much as a short job costs us. Only jobs that wait behind
        the window are taken, so nobody's message is in vain.
        """
        turn: Turn = getattr(self._turns, "here", None) or Turn()
        turn.begin()
        while (taken := turn.give()) is not None:
            try:
                self._runner.run_taken(taken, turn, self._events)
            except Exception:
                # The edge of a run: what was claimed after it is here, and nobody else would run it for a while.
                log.exception("run_broke_off job=%s run=%s", taken.claim.job_id, taken.claim.run_id)

    def _may_go_on(self) -> bool:
        # Slots may have been taken away while they ran something.
        return len(self.busy_slots) <= self.slots and self.standing.takes_jobs()

    def begin_to_leave(self, *, again: bool = False) -> None:
        """Take no more jobs: this worker is told to stop. ``again`` ends what runs, if it had begun before."""
        self.way_out.hurry() if again else self.way_out.begin()
        # The loop that asks for messages hears of it at once.
        self.slot_bell.ring()

    def drain(self, grace_seconds: float | None) -> None:
        """Leave as on SIGTERM, with another grace if one is given."""
        if grace_seconds is not None:
            self.way_out.allow(grace_seconds)
        self._presence.obeyed(Verb.DRAIN)
        log.warning("drain_ordered seconds=%g", self.way_out.seconds)
        os.kill(os.getpid(), signal.SIGTERM)

    def cordon(self, is_cordoned: bool) -> None:
        """Take no more jobs, or take them again."""
        self.standing.cordon(is_cordoned)
        self.slot_bell.ring()

    def stop_job(self, job_id: str) -> None:
        """End the run of a job that was cancelled, if it is here."""
        self.stop_here(job_id, StopReason.CANCELLED)

    def cancel(self, job_id: str) -> None:
        """Cancel a job wherever it is."""
        self._broker.cancel([job_id])

    def _health_server(self) -> "HealthServer | None":
        host, port = self._settings.worker_health_host, self._settings.worker_health_port
        if port is None:
            return None
        # Most workers serve nothing: a web server takes a MiB.
        from scriptfleet_workers.health import HealthServer  # noqa: PLC0415

        return HealthServer(host, port, self.name, self._signs, self.tally)

    def stop_here(self, job_id: str, reason: StopReason) -> None:
        """End the job's run if it is here; in a shutdown without much patience."""
        for run in self.active.of_job(job_id):
            run.stop(reason, _LAST_GRACE_SECONDS if reason is StopReason.SHUTDOWN else None)

    def stop_all(self, reason: StopReason) -> None:
        """End every run here, for good: this worker leaves."""
        self.active.stop_all(reason, _LAST_GRACE_SECONDS)

    def _surroundings(self) -> Surroundings:
        cache = SourceCache(self._settings.home / "cache", self._fetch, _unpack)
        cache.prune()
        return Surroundings(
            engine=self._engine,
            inheritance=self._inheritance,
            secrets=secrets_of(self._settings),
            cache=cache,
            rules=self._rules(),
            preload=self._settings.warm_preload,
        )

    def _rules(self) -> HostRules:
        settings = self._settings
        # A list that cannot be read keeps the worker from starting, not each job from running.
        AllowList.parse(settings.http_allow)
        most_bytes = min(ARTIFACT_MAX_BYTES, settings.blob_max_bytes)
        return HostRules(settings.http_allow, settings.file_roots, settings.home / "tools", most_bytes)

    def _fetch(self, sha256: str, size_bytes: int) -> bytes:
        with told_plainly(self._broker.url):
            return self._broker.blobs.get(sha256, size_bytes)

    def _tell(self, presence: Presence) -> None:
        self._orders.heed(self._signs.give(presence))
        if self._canary.is_beyond_help():
            self._escape.begin(self.standing.deaf)

    def _close(self) -> None:
        self.way_out.begin()
        self._refusals.shutdown(cancel_futures=True)
        self._spool_rounds.close()
        if self._health is not None:
            self._health.close()
        self._orders.close()
        self._events.close()
        self._live.close()
        self._due_rates.close()
        self._heartbeat.close()
        self._forget_canary()
        self._engine.close()
        self._folders.close()
        self.way_out.close()
        log.info("worker_left name=%s", self.name)

    def _forget_canary(self) -> None:
        try:
            self._canary.forget()
        except redis.RedisError as fault:
            log.warning("canary_stays reason=%s: the server forgets it by itself", fault)


def _settle_memory() -> None:
    """Leave what was made at the start out of every later collection: it stays, and to look through it takes longer.

    What a run leaves behind is nearly all freed by its counts; cycles are looked for once in some thousand objects.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_MOST_YOUNG)


def _unpack(content: bytes, folder: Path) -> None:
    # Loaded with the first bundle: archives' libraries take memory that many workers never need.
    from scriptfleet.queues import bundle  # noqa: PLC0415

    bundle.unpack(content, folder)


def _own_name(broker: Broker, name: str) -> str:
    """Give the name as it is, or with this process's number where another process of this name lives."""
    with told_plainly(broker.url):
        holder = Presence(broker.redis, broker.keys, name).join(this_host())
    if holder is None or (holder[0] == this_host() and not is_alive(holder[1])):
        return name
    own = f"{name}#{os.getpid()}"
    log.warning("name_taken name=%s by_host=%s by_pid=%d: this worker is %s", name, *holder, own)
    return own
