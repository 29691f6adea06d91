"""``?wait=30s``: a request that waits for the end of a job, within bounds."""

import re
from typing import Annotated, Final

from fastapi import Query

from scriptfleet.errors import JobNotFound, WaitTimedOut
from scriptfleet.queues.job_handle import Job
from scriptfleet.results.rest.refusals import ServiceBusy
from scriptfleet.results.rest.seats import Seats

#: Proxies end a request that is silent for longer.
MOST_WAIT_SECONDS: Final = 60.0
_PATTERN: Final = r"^[0-9]{1,5}(\.[0-9]{1,3})?(ms|s|m)?$"
_SECONDS: Final = {"ms": 0.001, "s": 1.0, "": 1.0, "m": 60.0}

Wait = Annotated[
    str | None,
    Query(
        pattern=_PATTERN,
        description="Wait so long for the end, such as `30s`; at most a minute. The answer is 200 once it has ended, "
        "else 202. Where many wait already it comes at once.",
        examples=["2s"],
    ),
]


def seconds_of_wait(said: str | None) -> float:
    """Give the seconds to wait, 0 for none."""
    found = re.fullmatch(r"([0-9.]+)(ms|s|m)?", said or "0")
    return min(MOST_WAIT_SECONDS, float(found[1]) * _SECONDS[found[2] or ""]) if found else 0.0


def wait_for(job: Job, said: str | None, seats: Seats) -> None:
    """Wait for the end of a job as long as the request says. Raises BrokerUnreachable."""
    if (seconds := seconds_of_wait(said)) <= 0:
        return
    try:
        with seats.held():
            job.wait(seconds)
    except (WaitTimedOut, ServiceBusy, JobNotFound):
        # How the job stands is told in any case; whoever asked may ask again.
        return
