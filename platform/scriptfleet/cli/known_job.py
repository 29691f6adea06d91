"""One job by its id, from the broker while it knows it, else from the store; short ids are looked up in the store."""

import re
from typing import TYPE_CHECKING, Any

from scriptfleet.cli.screen import note, usage_of
from scriptfleet.config import NoFleet, Settings
from scriptfleet.errors import BrokerUnreachable, InvalidValue, JobNotFound, ScriptfleetError, StoreUnreachable
from scriptfleet.queues.client import Client
from scriptfleet.queues.rerun import rerun_of

if TYPE_CHECKING:
    from scriptfleet.storage.job_store import JobRow
    from scriptfleet.storage.run_store import RunRow

_WHOLE_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_SHORT_ID = re.compile(r"[0-9a-f-]{4,35}")

#: What a verb that only reads goes on after, with what the store knows.
BROKER_AWAY = (NoFleet, BrokerUnreachable)


def check_id(text: str) -> str:
    """Accept what looks like a job's id or its beginning. Raises InvalidValue."""
    if not _WHOLE_ID.fullmatch(text) and not _SHORT_ID.fullmatch(text):
        raise InvalidValue("job", text, "a job's id, or at least its first 4 digits")
    return text


def whole_id(settings: Settings, text: str) -> str:
    """Give the whole id of a job named by it or by its beginning.

    Raises InvalidValue, JobNotFound, StoreUnreachable.
    """
    if _WHOLE_ID.fullmatch(check_id(text)):
        return text
    # Loading the database's library takes longer than most answers of the broker.
    from scriptfleet.cli import stored_jobs  # noqa: PLC0415

    return stored_jobs.whole_id(settings, text)


def from_store(settings: Settings, job_id: str, missing: ScriptfleetError) -> "tuple[JobRow, RunRow | None]":
    """Give job and last run from the store; raises ``missing``, what the broker's side said, when there is none."""
    try:
        from scriptfleet.cli import stored_jobs  # noqa: PLC0415

        found = stored_jobs.find(settings, job_id)
    except (StoreUnreachable, JobNotFound, ModuleNotFoundError) as fault:
        raise missing from fault
    if isinstance(missing, BROKER_AWAY) and not found[0].state.is_final:
        note("scriptfleet: no broker answers: this is what the database knew last")
    return found


def look_up(settings: Settings, job_id: str) -> dict[str, Any]:
    """Give what is known of a job as plain data, with its measures in ``metrics``. Raises JobNotFound, NoFleet."""
    try:
        facts = Client(settings=settings).job(job_id).facts()
    except (JobNotFound, *BROKER_AWAY) as missing:
        return _of_rows(*from_store(settings, job_id, missing))
    record = facts.pop("record")
    return {
        **facts,
        "state": str(facts["state"]),
        "output_data": record["output_data"] if record else None,
        "artifacts": record.get("artifacts") if record else None,
        "process_tree": record.get("process_tree") if record else None,
        "metrics": usage_of(record).to_dict(),
    }


def _of_rows(job: "JobRow", run: "RunRow | None") -> dict[str, Any]:
    return {
        "job_id": job.job_id,
        "name": job.name,
        "kind": job.kind,
        "queue": job.queue,
        "state": str(job.state),
        "priority": job.priority,
        "attempt": job.attempt,
        "losses": None,
        "run_id": job.last_run_id,
        "worker": run.worker if run else None,
        "reason": job.reason,
        "is_cancel_asked": False,
        "submitted_at": job.submitted_at,
        "started_at": job.started_at,
        "ended_at": job.finished_at,
        "rerun_of": rerun_of(job.spec),
        "output_data": run.output_data if run else None,
        "artifacts": [one.to_dict() for one in run.artifacts] if run and run.artifacts is not None else None,
        "metrics": run.usage.to_dict() if run else usage_of(None).to_dict(),
    }
