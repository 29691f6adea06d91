"""One-shot execution: code in, one flat answer out. The run is a job like any other, and is kept in history."""

import time
from typing import Any, Final, Self

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from scriptfleet.domain.role import Role
from scriptfleet.domain.run import RunRecord
from scriptfleet.errors import WaitTimedOut
from scriptfleet.queues import drafts
from scriptfleet.queues.job_handle import Job
from scriptfleet.results.access.audit import audit
from scriptfleet.results.access.needs import actor_of, needs
from scriptfleet.results.rest.parts import RestParts

_MIB: Final = 1024 * 1024
MOST_CODE_CHARS: Final = 256 * 1024
MOST_SECONDS: Final = 300.0
_USUAL_SECONDS: Final = 30.0
#: How long it may wait for a slot; then it is given up, and never starts.
_QUEUE_SECONDS: Final = 30.0
#: Between TERM and KILL, and for the record's way back.
_GRACE_SECONDS: Final = 2.0
_MARGIN_SECONDS: Final = 10.0


class Code(BaseModel):
    """Python source text to run once."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"code": "print(6 * 7)"}]})

    code: str = Field(min_length=1, max_length=MOST_CODE_CHARS)
    args: list[str] = Field(default_factory=list, max_length=1000)
    timeout: float = Field(_USUAL_SECONDS, gt=0, le=MOST_SECONDS, description="Seconds that it may run.")
    memory_mb: float | None = Field(None, ge=1, le=1_048_576, description="Limit of its memory, MiB.")
    queue: str = "default"


class Executed(BaseModel):
    """How the code ended and what it cost. Null where a measure is not known."""

    success: bool
    output: str = Field(description="Standard output; of more than 64 KiB the end.")
    error: str | None = Field(description="Standard error, or why it did not end well; null where there is neither.")
    exit_code: int
    container_id: str | None = Field(None, description="Null outside a container.")
    container_name: str | None = None
    execution_time: float | None = Field(description="Seconds.")
    cpu_user_time: float | None = Field(description="Seconds.")
    cpu_system_time: float | None = Field(description="Seconds.")
    cpu_percent: float | None = Field(description="Percent of one core.")
    memory_usage: int | None = Field(description="Bytes, as last seen.")
    memory_peak: int | None = Field(description="Bytes.")
    memory_limit: int | None = Field(description="Bytes.")
    memory_percent: float | None = Field(description="The peak as percent of the limit.")
    block_io_read: int | None = Field(description="Bytes.")
    block_io_write: int | None = Field(description="Bytes.")
    network_io_rx: int | None = Field(description="Bytes.")
    network_io_tx: int | None = Field(description="Bytes.")
    pids_count: int | None

    @classmethod
    def of(cls, record: RunRecord, exit_code: int) -> Self:
        """Give the answer from a run's record."""
        usage = record.usage
        seen: dict[str, Any] = {
            "execution_time": usage.execution_time_seconds,
            "cpu_user_time": usage.user_time_seconds,
            "cpu_system_time": usage.system_time_seconds,
            "cpu_percent": usage.cpu_avg,
            "memory_usage": _bytes(record.curve[-1].memory_mb if record.curve else None),
            "memory_peak": _bytes(usage.memory_max_mb),
            "memory_limit": _bytes(usage.memory_limit_mb),
            "memory_percent": usage.memory_percent,
            "block_io_read": usage.block_io_read_bytes,
            "block_io_write": usage.block_io_write_bytes,
            "network_io_rx": usage.network_rx_bytes,
            "network_io_tx": usage.network_tx_bytes,
            "pids_count": usage.pids_count,
        }
        error = record.stderr.text or usage.error_message or None
        return cls(success=bool(usage.success), output=record.stdout.text, error=error, exit_code=exit_code, **seen)


def execute_routes(parts: RestParts) -> APIRouter:
    """Give the route."""
    router = APIRouter(prefix="/api/v1", tags=["execute"], dependencies=[needs(Role.OPERATOR)])

    @router.post("/execute", summary="Run code and wait for its end")
    def execute_code(request: Request, response: Response, code: Code) -> Executed:
        with parts.waiters.held():
            job = _submit(parts, code, actor_of(request).name)
            audit(request, "job.execute", job.id, queue=code.queue)
            response.headers["Location"] = f"/api/v1/jobs/{job.id}"
            return _ended(job, code.timeout)

    return router


def _submit(parts: RestParts, code: Code, by: str) -> Job:
    draft = drafts.of_code(
        code.code,
        code.args,
        parts.client.broker.settings.blob_max_bytes,
        queue=code.queue,
        timeout=code.timeout,
        grace=_GRACE_SECONDS,
        limits={} if code.memory_mb is None else {"memory_mb": code.memory_mb},
        expires=time.time() + _QUEUE_SECONDS,
        submitted_by=by,
    )
    return parts.client.submit_draft(draft)


def _ended(job: Job, timeout: float) -> Executed:
    """Wait for the end; raises WaitTimedOut for one that did not start in time, or does not end."""
    longest = _QUEUE_SECONDS + timeout + _GRACE_SECONDS + _MARGIN_SECONDS
    try:
        result = job.result(longest)
    except WaitTimedOut:
        job.cancel()
        raise
    record = job.facts()["record"]
    if record is None:
        raise WaitTimedOut(job.id, _QUEUE_SECONDS, f"without a slot, and given up as {result.outcome},")
    return Executed.of(RunRecord.from_dict(record), result.exit_code)


def _bytes(mebibytes: float | None) -> int | None:
    return None if mebibytes is None else round(mebibytes * _MIB)
