"""Celery's task events for runs that came without a message of their own, so that Flower shows them like all others."""

import logging
import queue
import threading
import time
from contextlib import closing
from typing import Any, Final

import redis
from celery import Celery
from kombu.exceptions import OperationalError

from scriptfleet.domain.run import RunRecord
from scriptfleet.domain.state import State
from scriptfleet.queues.claims import Claim

log = logging.getLogger("scriptfleet.task_events")

_EVERY_SECONDS: Final = 0.5
#: Events are for watching: when the broker is away for long, the oldest are left out.
_MOST_WAITING: Final = 20_000


class TaskEvents:
    """Collects events from all threads; one thread sends them, many in one message."""

    def __init__(self, app: Celery, hostname: str) -> None:
        self._app, self.hostname = app, hostname
        self._waiting: queue.SimpleQueue[tuple[str, dict[str, Any]]] = queue.SimpleQueue()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="task-events", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def close(self) -> None:
        """Send what waits and stop the thread."""
        self._stop.set()
        self._thread.join()

    def started(self, claim: Claim) -> None:
        """Tell that a job was received and started at once."""
        now = time.time()
        about = {"name": claim.name, "args": claim.display_args, "kwargs": "", "root_id": claim.job_id}
        self._put("task-received", claim.job_id, now, **about, parent_id=None, retries=0, eta=None, expires=None)
        self._put("task-started", claim.job_id, now)

    def ended(self, claim: Claim, record: RunRecord) -> None:
        """Tell how the run ended, in Celery's words."""
        now = time.time()
        if record.outcome is State.SUCCEEDED:
            usage = record.usage
            self._put(
                "task-succeeded",
                claim.job_id,
                now,
                result=f"exit {usage.exit_code}",
                runtime=usage.execution_time_seconds,
            )
        elif record.outcome is State.CANCELLED:
            self._put("task-revoked", claim.job_id, now, terminated=True, signum=15, expired=False)
        else:
            reason = f"{record.outcome}: {record.usage.error_message}"
            self._put("task-failed", claim.job_id, now, exception=reason, traceback="")

    def _put(self, event: str, job_id: str, at: float, **fields: Any) -> None:
        if self._waiting.qsize() < _MOST_WAITING:
            self._waiting.put((event, {"uuid": job_id, "timestamp": at, **fields}))

    def _loop(self) -> None:
        while not self._stop.is_set():
            try:
                with (
                    self._app.connection_for_write() as connection,
                    closing(connection.channel()) as channel,
                    closing(self._dispatcher(connection, channel)) as dispatcher,
                ):
                    self._send_until_stopped(dispatcher, channel)
            except (OperationalError, OSError, redis.RedisError) as fault:
                log.warning("task_events_interrupted reason=%s", fault)
                self._stop.wait(_EVERY_SECONDS)
            except Exception:
                # The edge of the thread: without it Flower would see no more of these runs.
                log.exception("task_events_broke")
                self._stop.wait(_EVERY_SECONDS)

    def _dispatcher(self, connection: Any, channel: Any) -> Any:
        return self._app.events.Dispatcher(
            connection,
            channel=channel,
            hostname=self.hostname,
            buffer_while_offline=False,
            buffer_group={"task"},
            buffer_limit=_MOST_WAITING,
        )

    def _send_until_stopped(self, dispatcher: Any, channel: Any) -> None:
        is_last = False
        while not is_last:
            is_last = self._stop.wait(_EVERY_SECONDS)
            waiting = [self._waiting.get() for _ in range(self._waiting.qsize())]
            _send(dispatcher, waiting[:1])
            # Most of the time nobody watches; then the others need not be made.
            if _has_hearers(channel):
                _send(dispatcher, waiting[1:])


def _send(dispatcher: Any, events: list[tuple[str, dict[str, Any]]]) -> None:
    for event, fields in events:
        dispatcher.send(event, **fields)
    if events:
        dispatcher.flush(groups=True, errors=False)


def _has_hearers(channel: Any) -> bool:
    """Tell whether somebody heard what was sent last; where the transport does not tell that, somebody may have."""
    return getattr(channel, "hearers", 1) > 0
