"""Identifiers: who mints them and what they look like."""

import os
from typing import NewType

JobId = NewType("JobId", str)
RunId = NewType("RunId", str)

_SLOT_NAMESPACE = "6f2d3a52-6f5e-4c42-9a35-0e4bb0a1f2c1"
_VERSION_4 = 0x40


def new_job_id() -> JobId:
    """Mint a job id: a UUID, which Celery's tools expect; the client makes it, so a submit can be repeated."""
    number = bytearray(os.urandom(16))
    # RFC 9562, 5.4: four bits of version, two of variant.
    number[6], number[8] = number[6] & 0x0F | _VERSION_4, number[8] & 0x3F | 0x80
    digits = number.hex()
    return JobId("-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:])))


def new_run_id() -> RunId:
    """Mint a claim id: random, key of one run and fencing token of all that the run writes."""
    return RunId(os.urandom(16).hex())


def replay_job_id(job_id: str) -> JobId:
    """Give the one job id of a dead job's replay, so that replaying it twice makes one job."""
    return _named(f"replay of {job_id}")


def slot_job_id(schedule_id: str, due_ms: int) -> JobId:
    """Give the one job id of a schedule's slot, so that two beats firing it make one job."""
    return _named(f"{schedule_id}@{due_ms}")


def form_job_id(mark: str, spec: str) -> JobId:
    """Give the one job id of a form, by its mark, that was filled so, so that sending it twice makes one job."""
    return _named(f"form {mark} {spec}")


def _named(name: str) -> JobId:
    # Takes longer to load than a random id to mint, which is all that most processes do.
    import uuid  # noqa: PLC0415

    return JobId(str(uuid.uuid5(uuid.UUID(_SLOT_NAMESPACE), name)))
