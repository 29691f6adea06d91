"""Dead jobs: those that ended badly and have no attempts left. Listed for as long as the broker knows them."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from scriptfleet.domain import check
from scriptfleet.domain.ids import replay_job_id
from scriptfleet.domain.state import State
from scriptfleet.errors import JobNotFound
from scriptfleet.queues.connection import told_plainly
from scriptfleet.queues.drafts import Draft
from scriptfleet.queues.job_handle import Job
from scriptfleet.queues.rerun import again, spec_in
from scriptfleet.queues.submission import Submitter

if TYPE_CHECKING:
    from scriptfleet.queues.client import Broker

_BATCH: Final = 200
_FIELDS: Final = ("name", "queue", "state", "attempt", "losses", "ended", "reason", "spec", "record")
#: What is looked at to choose; a record may have a hundred kilobytes.
_CHOSEN_BY: Final = ("queue", "ended", "spec")


@dataclass(frozen=True, slots=True)
class DeadJob:
    """A job that ended badly."""

    job_id: str
    name: str
    queue: str
    group: str | None
    outcome: State
    #: How many attempts it had, and how many runs were lost with their workers.
    attempts: int
    losses: int
    #: Seconds since the epoch, by the server's clock.
    ended_at: float
    #: Such as ``ValueError``; None where it never ran.
    error_type: str | None
    #: One line: what went wrong.
    error: str | None

    def to_dict(self) -> dict[str, Any]:
        """Give plain JSON data."""
        return {**asdict(self), "outcome": str(self.outcome)}


@dataclass(frozen=True, slots=True)
class DeadFilter:
    """Which dead jobs; None means any."""

    queue: str | None = None
    group: str | None = None
    #: Ended at this moment or later, seconds since the epoch by the server's clock.
    since: float | None = None

    def __post_init__(self) -> None:
        if self.queue is not None:
            check.queue_name(self.queue)
        check.optional_text("group", self.group, 255)
        check.optional_number("since", self.since)

    def takes(self, queue: str, group: str | None, ended_at: float) -> bool:
        """Tell whether it is one of them."""
        return (
            (self.queue is None or queue == self.queue)
            and (self.group is None or group == self.group)
            and (self.since is None or ended_at >= self.since)
        )


class DeadJobs:
    """The list. Each method raises BrokerUnreachable."""

    def __init__(self, broker: "Broker", submitter: Submitter) -> None:
        self._broker, self._submitter = broker, submitter

    def ids(self, which: DeadFilter | None = None, limit: int | None = None) -> list[str]:
        """Give the ids of dead jobs, those last that ended first; at most ``limit``."""
        wanted = which or DeadFilter()
        found: list[str] = []
        with told_plainly(self._broker.url):
            for batch in self._batches():
                found += [job_id for job_id, fields in self._known(batch, _CHOSEN_BY) if _fits(wanted, fields)]
                if limit is not None and len(found) >= limit:
                    return found[:limit]
        return found

    def newest(self, which: DeadFilter | None = None, limit: int = 100) -> list[DeadJob]:
        """Give dead jobs, those last that ended first."""
        ids = self.ids(which, check.integer("limit", limit, 1, 10_000))
        with told_plainly(self._broker.url):
            return [
                _dead(job_id, fields)
                for start in range(0, len(ids), _BATCH)
                for job_id, fields in self._known(ids[start : start + _BATCH], _FIELDS)
            ]

    def replay(self, job_id: str, submitted_by: str | None = None) -> Job:
        """Submit a dead job again as a new one, and take it off the list. Safe to repeat: it makes one job.

        Raises JobNotFound for one that is not on the list, BlobMissing when its bytes are gone, SubmitUncertain, and
        InvalidValue for one that was not signed with this fleet's key.
        """
        if not self._is_listed(job_id):
            raise JobNotFound(job_id)
        spec = again(spec_in(self._broker, job_id), job_id, {"submitted_by": submitted_by} if submitted_by else {})
        job = self._submitter.submit([(replay_job_id(job_id), Draft(spec))])[0]
        self.remove([job_id])
        return job

    def remove(self, job_ids: Sequence[str]) -> int:
        """Take jobs off the list; give how many were on it. Their records stay for as long as they would have."""
        with told_plainly(self._broker.url):
            key = self._broker.keys("dead")
            return sum(
                int(self._broker.redis.zrem(key, *job_ids[start : start + _BATCH]))
                for start in range(0, len(job_ids), _BATCH)
            )

    def _is_listed(self, job_id: str) -> bool:
        with told_plainly(self._broker.url):
            return self._broker.redis.zscore(self._broker.keys("dead"), job_id) is not None

    def _batches(self) -> Iterator[list[str]]:
        key, start = self._broker.keys("dead"), 0
        while batch := self._broker.redis.zrevrange(key, start, start + _BATCH - 1):
            start += len(batch)
            yield [job_id.decode() for job_id in batch]

    def _known(self, job_ids: Sequence[str], names: Sequence[str]) -> Iterator[tuple[str, dict[str, str]]]:
        pipeline = self._broker.redis.pipeline(transaction=False)
        for job_id in job_ids:
            pipeline.hmget(self._broker.keys("job", job_id), names)
        for job_id, values in zip(job_ids, pipeline.execute(), strict=True):
            fields = {
                name: value.decode(errors="replace")
                for name, value in zip(names, values, strict=True)
                if value is not None
            }
            # Its record may be gone a moment before its place on the list.
            if "ended" in fields:
                yield job_id, fields


def _fits(which: DeadFilter, fields: dict[str, str]) -> bool:
    return which.takes(fields["queue"], _group(fields["spec"]), int(fields["ended"]) / 1000)


def _group(spec: str) -> str | None:
    try:
        found = json.loads(spec).get("group")
    except (ValueError, AttributeError):
        # A spec that cannot be read is why it is dead.
        return None
    return found if isinstance(found, str) else None


def _dead(job_id: str, fields: dict[str, str]) -> DeadJob:
    usage = json.loads(fields["record"]).get("usage", {}) if "record" in fields else {}
    return DeadJob(
        job_id=job_id,
        name=fields["name"],
        queue=fields["queue"],
        group=_group(fields["spec"]),
        outcome=State(fields["state"]),
        attempts=int(fields["attempt"]),
        losses=int(fields["losses"]),
        ended_at=int(fields["ended"]) / 1000,
        error_type=usage.get("error_type"),
        error=fields.get("reason") or usage.get("error_message"),
    )
