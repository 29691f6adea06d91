"""A schedule: a job spec that is submitted again and again. So far by a fixed interval."""

from dataclasses import dataclass

from scriptfleet.domain import check
from scriptfleet.domain.job import JobSpec
from scriptfleet.errors import InvalidValue

SHORTEST_INTERVAL_SECONDS = 0.1

#: What holds for one job alone: the second slot would be the first one's job, or past its end.
_OF_ONE_JOB = ("idempotency_key", "not_before", "expires_at")


@dataclass(frozen=True, slots=True)
class Schedule:
    """A stored schedule. Moments are whole milliseconds since the epoch, so that a slot has one exact name."""

    schedule_id: str
    #: Unique among schedules; what people call it.
    name: str
    spec: JobSpec
    every_seconds: float
    next_due_ms: int
    is_enabled: bool = True

    def __post_init__(self) -> None:
        check.text("schedule name", self.name, 255)
        check.duration("every", self.every_seconds, least=SHORTEST_INTERVAL_SECONDS)
        for name in _OF_ONE_JOB:
            if getattr(self.spec, name) is not None:
                raise InvalidValue(name, getattr(self.spec, name), "nothing: a schedule submits its spec many times")

    def due_after(self, due_ms: int, now_ms: int) -> int:
        """Give the slot after ``due_ms``; slots that have wholly passed by ``now_ms`` are left out, in one step."""
        step = round(self.every_seconds * 1000)
        missed = max(0, (now_ms - due_ms) // step)
        return due_ms + step * (missed + 1)
