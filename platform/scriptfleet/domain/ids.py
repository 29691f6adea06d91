"""Identifiers: who mints them and what they look like."""

import os
import uuid
from typing import NewType

JobId = NewType("JobId", str)
RunId = NewType("RunId", str)

_SLOT_NAMESPACE = uuid.UUID("6f2d3a52-6f5e-4c42-9a35-0e4bb0a1f2c1")


def new_job_id() -> JobId:
    """Mint a job id: a UUID, which Celery's tools expect; the client makes it, so a submit can be repeated."""
    return JobId(str(uuid.UUID(bytes=os.urandom(16), version=4)))


def new_run_id() -> RunId:
    """Mint a claim id: random, key of one run and fencing token of all that the run writes."""
    return RunId(os.urandom(16).hex())


def replay_job_id(job_id: str) -> JobId:
    """Give the one job id of a dead job's replay, so that replaying it twice makes one job."""
    return JobId(str(uuid.uuid5(_SLOT_NAMESPACE, f"replay of {job_id}")))


def slot_job_id(schedule_id: str, due_ms: int) -> JobId:
    """Give the one job id of a schedule's slot, so that two beats firing it make one job."""
    return JobId(str(uuid.uuid5(_SLOT_NAMESPACE, f"{schedule_id}@{due_ms}")))
