"""One-line builders of specs, records and events for tests of what stores and shows them."""

import base64
import itertools
import zlib
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from scriptfleet.domain.event import Event, EventType
from scriptfleet.domain.ids import new_job_id, new_run_id
from scriptfleet.domain.job import JobSpec
from scriptfleet.domain.process_tree import ProcessSeen, ProcessTree
from scriptfleet.domain.run import OutputTail, RunRecord
from scriptfleet.domain.sample import Sample
from scriptfleet.domain.state import State
from scriptfleet.domain.usage import Usage

START_MS = 1_790_000_000_000

TREE = ProcessTree(
    0.5, 2, (ProcessSeen(71, 70, "python hello.py", 0.25, 20.5, 0.5), ProcessSeen(72, 71, "sleep 3", 0.0, 1.5, 0.25))
)

_entries = itertools.count(1)


def shell_spec(name: str = "hello.sh", **changes: Any) -> JobSpec:
    return JobSpec(kind="shell", name=name, config={"command": "echo hello"}, **changes)


def usage(**changes: Any) -> Usage:
    known = Usage(
        start_time="2026-09-21T16:13:21.250000+02:00",
        end_time="2026-09-21T16:13:22.750000+02:00",
        execution_time_seconds=1.5,
        exit_code=0,
        success=True,
        cpu_avg=80.0,
        user_time_seconds=1.0,
        system_time_seconds=0.25,
        memory_max_mb=48.5,
        cpu_method="rusage",
        memory_method="rusage",
        block_io_write_bytes=4096,
        stdout_lines=1,
        stdout_size_bytes=6,
        platform="Linux",
        custom={"rows": 12.0},
    )
    return replace(known, **changes)


def record(job_id: str, run_id: str, outcome: State = State.SUCCEEDED, **changes: Any) -> RunRecord:
    made = RunRecord(
        run_id=run_id,
        job_id=job_id,
        attempt=1,
        worker="worker-1@host-1",
        host="host-1",
        outcome=outcome,
        usage=usage(),
        stdout=OutputTail("hello\n"),
        curve=[Sample(0.0, 50.0, 20.5, 1, 0, 4096), Sample(1.0, 90.25, 48.5, 2, 512, 8192)],
        process_tree=TREE,
    )
    return replace(made, **changes)


def event(kind: EventType, job_id: str, revision: int, at_ms: int = START_MS, /, **data: Any) -> Event:
    return Event(f"{at_ms}-{next(_entries)}", kind, job_id, revision, at_ms, data)


def submitted(job_id: str, spec: JobSpec | None = None, state: str = "queued", at_ms: int = START_MS) -> Event:
    return event(EventType.SUBMITTED, job_id, 1, at_ms, spec=(spec or shell_spec()).to_json(), state=state)


def claimed(job_id: str, run_id: str, revision: int = 2, attempt: int = 1, at_ms: int = START_MS + 1000) -> Event:
    data = {"run_id": run_id, "attempt": attempt, "worker": "worker-1@host-1"}
    return event(EventType.CLAIMED, job_id, revision, at_ms, **data)


def finished(
    made: RunRecord, revision: int = 3, state: str | None = None, stale: bool = False, at_ms: int = START_MS + 3000
) -> Event:
    data = {"run_id": made.run_id, "record": made.to_dict(), "state": state or str(made.outcome), "stale": stale}
    return event(EventType.FINISHED, made.job_id, 0 if stale else revision, at_ms, **data)


def moved(job_id: str, revision: int, state: State, at_ms: int = START_MS + 4000, **data: Any) -> Event:
    return event(EventType.MOVED, job_id, revision, at_ms, state=str(state), **data)


def output(job_id: str, run_id: str, body: bytes, number: int = 0, stream: str = "stdout") -> Event:
    packed = base64.b64encode(zlib.compress(body)).decode()
    return event(EventType.OUTPUT, job_id, 0, START_MS + 2500, run_id=run_id, stream=stream, number=number, body=packed)


def whole_job(
    spec: JobSpec | None = None, outcome: State = State.SUCCEEDED, at_ms: int = START_MS, **cost: Any
) -> list[Event]:
    """Give the events of a job that was submitted, claimed and finished; ``cost`` are measures of its run."""
    job_id, run_id = new_job_id(), new_run_id()
    began = datetime.fromtimestamp(at_ms / 1000 + 1.25, UTC).isoformat()
    made = record(job_id, run_id, outcome, usage=usage(start_time=began, success=outcome is State.SUCCEEDED, **cost))
    return [
        submitted(job_id, spec, at_ms=at_ms),
        claimed(job_id, run_id, at_ms=at_ms + 1000),
        finished(made, at_ms=at_ms + 3000),
    ]
