"""The worker's Celery app: `celery -A scriptfleet_workers.app worker`. The one place where a worker is put together."""

import logging
import threading
import time
from typing import Any, Final

from celery import Celery, signals

from scriptfleet.config import load_settings
from scriptfleet.errors import BrokerUnreachable
from scriptfleet.queues.fleet import own_list
from scriptfleet_workers import canary, intake, revoked, tasks, transport
from scriptfleet_workers.celery_config import celery_config
from scriptfleet_workers.member import Member
from scriptfleet_workers.own_queue import own_queue
from scriptfleet_workers.time_limits import TimeLimits

log = logging.getLogger("scriptfleet.worker")

#: A worker that starts together with its broker waits so long for it.
_PATIENCE_SECONDS: Final = 30.0

settings = load_settings()
app = Celery("scriptfleet")
app.conf.update(celery_config(settings))


def _join_fleet(sender: str, instance: Any, **_: Any) -> None:
    """Make this process a member of the fleet before it takes its first message."""
    queues = instance.app.amqp.queues
    queues.select_add(canary.queue_of(sender))
    for queue in queues.values():
        # Jobs reach their lists by Lua: there is nothing to declare, and a full server would refuse it.
        queue.no_declare = True
    limits = TimeLimits(app, instance.soft_time_limit, instance.time_limit)
    slots = instance.max_concurrency or instance.concurrency
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            Member.join(app, settings, sender, slots, limits)
        except BrokerUnreachable as fault:
            log.warning("broker_away reason=%s", fault)
            if time.monotonic() > deadline:
                raise SystemExit(f"scriptfleet: {fault}") from fault
            threading.Event().wait(1.0)
        except Exception as fault:
            # Celery logs what a signal's receiver raises and goes on: a worker that is no member must not.
            log.exception("join_failed")
            raise SystemExit(f"scriptfleet: {fault}") from fault
        else:
            # Jobs that ask for labels or memory come by a list that only this worker reads.
            queues.select_add(own_queue(own_list(Member.current().name)))
            return


def _begin_to_leave(**_: Any) -> None:
    """Take no new jobs once a signal asks for the end; a second one ends what runs."""
    if Member.is_joined():
        Member.current().begin_to_leave(again=True)


def _leave_fleet(**_: Any) -> None:
    """Leave once the pool has finished its runs."""
    Member.leave()


transport.register()
tasks.register(app)
canary.register(app, lambda: Member.current().heard_canary())
revoked.register()
intake.register(app)
signals.celeryd_after_setup.connect(_join_fleet, weak=False)
signals.worker_shutting_down.connect(_begin_to_leave, weak=False)
signals.worker_shutdown.connect(_leave_fleet, weak=False)
