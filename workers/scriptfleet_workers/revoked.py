"""What Celery's own remote control means for jobs: a revoke, also from Flower, is a cancel."""

from typing import Any

from celery import signals

from scriptfleet_workers.member import Member


def register() -> None:
    """Listen to Celery's revocations in this process."""
    signals.task_revoked.connect(_on_revoked, weak=False, dispatch_uid="scriptfleet-revoked")


def _on_revoked(request: Any = None, **_: Any) -> None:
    job_id = getattr(request, "id", None)
    if job_id:
        Member.current().cancel(str(job_id))
