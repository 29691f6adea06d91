"""Celery's own time limits, set on the worker's command line or from Flower, for jobs: the tighter limit counts."""

from dataclasses import dataclass, replace

from celery import Celery

from scriptfleet.domain.job import JobSpec
from scriptfleet.queues.message import task_name


@dataclass(frozen=True, slots=True)
class TimeLimits:
    """Limits of this worker. A soft one is the TERM, a hard one the KILL, as far as a script can tell them apart."""

    app: Celery
    #: For tasks that have none of their own, seconds; None is no limit.
    soft_seconds: float | None = None
    hard_seconds: float | None = None

    def applied(self, spec: JobSpec) -> JobSpec:
        """Give the spec with the limit that its kind has now, unless its own ends it sooner."""
        task = self.app.tasks[task_name(spec.kind)]
        soft, hard = task.soft_time_limit or self.soft_seconds, task.time_limit or self.hard_seconds
        most = soft or hard
        if not most or (spec.timeout_seconds is not None and spec.timeout_seconds <= most):
            return spec
        grace = max(0.0, hard - soft) if soft and hard else spec.grace_seconds
        return replace(spec, timeout_seconds=float(most), grace_seconds=grace)
