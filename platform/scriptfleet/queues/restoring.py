"""Restoring: a job that the store knows as unfinished, and the broker does not know at all, is written again."""

from dataclasses import dataclass
from enum import StrEnum

from scriptfleet.domain.job import JobSpec
from scriptfleet.queues.client import Broker
from scriptfleet.queues.message import template
from scriptfleet.queues.submission import job_arguments


class Restored(StrEnum):
    """What became of a job."""

    QUEUED = "queued"
    DELAYED = "delayed"
    #: It has its lease again: who still runs it goes on, else it is rescued when the lease ends.
    RUNNING = "running"
    #: It cannot run again, and has ended.
    LOST = "lost"
    #: Another job was submitted with its idempotency key meanwhile, and it has ended.
    SKIPPED = "skipped"
    #: The broker knows it; nothing was done.
    KNOWN = "known"
    #: The broker has another epoch by now, or all is restored; nothing was done.
    OVER = "over"


@dataclass(frozen=True, slots=True)
class LostRun:
    """The run that a job had when it was last heard of."""

    run_id: str
    worker: str
    lease_seconds: float
    began_ms: int


@dataclass(frozen=True, slots=True)
class LostJob:
    """A job as the store knows it. Moments are the broker's clock in milliseconds, 0 for none."""

    job_id: str
    #: The spec's own text, and its signature.
    spec: str
    signature: str
    due_ms: int = 0
    #: Attempts that count already, with the one that runs.
    attempt: int = 0
    #: Times its worker was lost, and attempts that ran out of memory and were followed by another.
    losses: int = 0
    out_of_memory: int = 0
    first_start_ms: int = 0
    #: Why it cannot run again; empty when it can.
    unfit: str = ""
    run: LostRun | None = None


class Restoring:
    """Writes jobs again, each with its own id and spec. Raises the client library's errors."""

    def __init__(self, broker: Broker) -> None:
        self._broker, self._template = broker, template()

    def restore(self, job: LostJob, epoch: str, *, is_wiped: bool) -> Restored:
        """Write one job again, unless the broker knows it or has another epoch; safe to repeat.

        ``is_wiped`` says that this belongs to restoring a server that was wiped: then nothing is done once that is
        noted as done. Raises InvalidValue for a spec that this version cannot read.
        """
        told = _arguments(job)
        answer = self._broker.scripts.call(
            "restore",
            *(self._template, self._broker.keep_ms, epoch, "1" if is_wiped else "", *told),
            *(job.attempt, job.losses, job.out_of_memory, job.first_start_ms, job.unfit, *_of_run(job.run)),
        )
        return Restored(answer.decode())


#: Where job_arguments has the queue, and the moment before which the job is not to start.
_QUEUE, _DUE = 6, 8


def _arguments(job: LostJob) -> list[str | int]:
    spec = JobSpec.from_json(job.spec)
    told = job_arguments(job.job_id, spec.after_out_of_memory(job.out_of_memory), job.spec, job.signature)
    told[_DUE] = job.due_ms
    if job.out_of_memory and spec.retry.oom_queue:
        told[_QUEUE] = spec.retry.oom_queue
    return told


def _of_run(run: LostRun | None) -> list[str | int]:
    return [run.run_id, run.worker, round(run.lease_seconds * 1000), run.began_ms] if run else []
