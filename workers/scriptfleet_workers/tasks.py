"""Celery's tasks: one name a kind, all with one body. The task's id is the job's."""

from collections.abc import Mapping
from typing import Any

from celery import Celery, signals
from celery.exceptions import Ignore

from scriptfleet.domain.state import State
from scriptfleet.execution.executor import executor_kinds
from scriptfleet.queues.message import task_name
from scriptfleet_workers.member import Member
from scriptfleet_workers.run import NotClaimed


class RunFailed(Exception):
    """How a run that did not succeed looks to Celery and Flower; the record has the whole story."""


def register(app: Celery) -> None:
    """Give the app a task for each kind, also for those of installed packages."""
    for kind in executor_kinds():
        app.task(name=task_name(kind), bind=True, throws=(RunFailed,), ignore_result=True)(_run)
    signals.task_unknown.connect(_refuse, weak=False, dispatch_uid="scriptfleet-unknown")


def _run(task: Any) -> str:
    answer = Member.current().run_job(task.request.id, _list_of(task.request.delivery_info))
    if isinstance(answer, NotClaimed):
        # A repeated message, or a job that was cancelled meanwhile: nothing happened here.
        raise Ignore
    record = answer.record
    if record.outcome is State.CANCELLED:
        task.send_event("task-revoked", terminated=True, signum=15, expired=False)
        raise Ignore
    if record.outcome is not State.SUCCEEDED:
        raise RunFailed(f"{record.outcome}: {record.usage.error_message}")
    return f"exit {record.usage.exit_code} after {record.usage.execution_time_seconds:.3f} s"


def _list_of(delivery_info: Mapping[str, str | None] | None) -> str:
    return (delivery_info or {}).get("routing_key") or ""


def _refuse(name: str = "", id: str = "", message: Any = None, **_: Any) -> None:  # noqa: A002 - Celery names it so
    """End a job of a kind that this worker does not have: its message is gone, and nobody else would hear of it."""
    if name.startswith(task_name("")) and Member.is_joined():
        Member.current().refuse(id, _list_of(message.delivery_info))
