"""Which run it is: what its record begins with."""

from scriptfleet.domain.value import value


@value(frozen=True, slots=True)
class Identity:
    """Which run it is and where it ran."""

    run_id: str
    job_id: str
    attempt: int
    worker: str
    host: str
    queue_wait_seconds: float | None = None
    #: None on a machine of one's own.
    queue: str | None = None
