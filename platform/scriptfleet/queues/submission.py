"""Sending jobs to the broker: in few round trips, repeated while nothing answers, and told what came of each."""

import hashlib
import threading
import time
import uuid
from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import redis
from redis.sentinel import MasterNotFoundError

from scriptfleet.config import without_password
from scriptfleet.domain.ids import new_job_id
from scriptfleet.domain.job import JobSpec
from scriptfleet.errors import (
    BlobMissing,
    BrokerFull,
    BrokerUnreachable,
    IdempotencyConflict,
    InvalidValue,
    SubmitUncertain,
)
from scriptfleet.queues.connection import answer_of, reason_of, told_plainly
from scriptfleet.queues.drafts import Draft
from scriptfleet.queues.job_handle import Job
from scriptfleet.queues.lane import bounds_of, lane_of
from scriptfleet.queues.marks import as_text, marks_of
from scriptfleet.queues.message import template
from scriptfleet.queues.signing import sign

if TYPE_CHECKING:
    from scriptfleet.queues.client import Broker

#: A submit is tried again until so long after the first try began.
_TRY_SECONDS: Final = 1.5
#: How long the replicas have to confirm a submit, where their confirmation is asked for.
_CONFIRM_MS: Final = 1_000
_PER_CALL: Final = 100
#: From so much of the server's memory limit on, percent, it takes no new job; the same in lua/submit.lua.
FULL_PERCENT: Final = 90
_BLOBS_REMEMBERED: Final = 256

_Wanted = tuple[str, Draft]
#: The id that a job has now, and how it came to it; see lua/submit.lua.
_Answer = tuple[str, bytes]


def ids_for(count: int, given: Sequence[str] | None) -> list[str]:
    """Give the ids of so many jobs: new ones, or those given, if each is a UUID of its own. Raises InvalidValue."""
    if given is None:
        return [new_job_id() for _ in range(count)]
    if len(given) != count:
        raise InvalidValue("job_ids", f"{len(given):,} ids", f"one for each of the {count:,} jobs")
    if len(set(given)) != count:
        raise InvalidValue("job_ids", next(one for one in given if list(given).count(one) > 1), "each id once")
    return [_checked(job_id) for job_id in given]


def _checked(job_id: str) -> str:
    try:
        is_plain = str(uuid.UUID(job_id)) == job_id
    except (ValueError, AttributeError, TypeError):
        is_plain = False
    if not is_plain:
        raise InvalidValue("job_id", job_id, "a UUID in lower case, such as str(uuid.uuid4()) gives")
    return job_id


def job_arguments(job_id: str, spec: JobSpec, text: str, signature: str) -> list[str | int]:
    """Give what the scripts are told of a job to write; ``text`` is the spec's own. See lua/writing.lua."""
    return [
        job_id,
        text,
        signature,
        spec.kind,
        spec.name,
        spec.display_args(),
        spec.queue,
        spec.priority,
        round((spec.not_before or 0) * 1000),
        round((spec.expires_at or 0) * 1000),
        spec.idempotency_key or "",
        hashlib.sha256(text.encode()).hexdigest() if spec.idempotency_key else "",
        _sha256(spec),
        as_text(marks_of(spec.group, spec.labels)),
        lane_of(spec),
        bounds_of(spec),
    ]


class Submitter:
    """Submits jobs for one client; safe to share between threads."""

    def __init__(self, broker: "Broker") -> None:
        self._broker, self._template = broker, template()
        self._seen: OrderedDict[str, None] = OrderedDict()
        self._lock = threading.Lock()

    def submit(self, jobs: list[_Wanted]) -> list[Job]:
        """Submit jobs and give their handles in the same order. Raises as ``Client.submit_many`` says."""
        answers: dict[int, _Answer] = {}
        try:
            for start in range(0, len(jobs), _PER_CALL):
                self._submit_some(dict(enumerate(jobs[start : start + _PER_CALL], start)), answers)
                self._refuse_conflict(jobs, answers)
        except (BrokerUnreachable, SubmitUncertain) as fault:
            if not answers and isinstance(fault, BrokerUnreachable):
                raise
            open_ids = [job_id for at, (job_id, _) in enumerate(jobs) if at not in answers]
            raise SubmitUncertain(open_ids[0], fault.reason, open_ids, self._handles(answers)) from fault
        return self._handles(answers)

    def _submit_some(self, jobs: dict[int, _Wanted], answers: dict[int, _Answer]) -> None:
        self._put([draft for _, draft in jobs.values()], is_new_only=True)
        missing = self._ask(jobs, answers)
        if not missing:
            return
        # The server was wiped, or dropped them, after this client saw them there.
        self._put([draft for _, draft in missing.values()], is_new_only=False)
        for _, draft in self._ask(missing, answers).values():
            raise BlobMissing(_sha256(draft.spec), "not with the broker, and did not come with the job")

    def _ask(self, jobs: dict[int, _Wanted], answers: dict[int, _Answer]) -> dict[int, _Wanted]:
        """Submit; note the answers, and give the jobs whose bytes are missing: of those nothing was written."""
        flat: list[str | int] = [self._template, len(jobs)]
        for job_id, draft in jobs.values():
            text = draft.spec.to_json()
            flat += job_arguments(job_id, draft.spec, text, self._signature(job_id, draft.spec, text))
        answer = self._call_until_answered(next(iter(jobs.values()))[0], flat)
        missing: dict[int, _Wanted] = {}
        for at, found_id, how in zip(jobs, answer[::2], answer[1::2], strict=True):
            if how == b"full":
                raise BrokerFull(without_password(self._broker.url), int(found_id))
            if how == b"blob missing":
                missing[at] = jobs[at]
            else:
                answers[at] = found_id.decode(), how
        return missing

    def _signature(self, job_id: str, spec: JobSpec, text: str) -> str:
        settings = self._broker.settings
        due = max(time.time(), spec.not_before or 0.0)
        return sign(settings.signing_key, job_id, text, due + settings.signature_hours * 3600)

    def _refuse_conflict(self, jobs: list[_Wanted], answers: dict[int, _Answer]) -> None:
        for at, (job_id, how) in answers.items():
            if how == b"conflict":
                key = jobs[at][1].spec.idempotency_key or ""
                raise IdempotencyConflict(key, job_id, self._handles(answers))

    def _handles(self, answers: dict[int, _Answer]) -> list[Job]:
        return [Job(job_id, self._broker) for _, (job_id, how) in sorted(answers.items()) if how != b"conflict"]

    def _put(self, drafts: list[Draft], is_new_only: bool) -> None:
        by_name = {_sha256(draft.spec): draft for draft in drafts if draft.content is not None}
        with self._lock:
            seen = self._seen.keys() & by_name.keys() if is_new_only else set()
        wanted = [draft for sha256, draft in by_name.items() if sha256 not in seen]
        with told_plainly(self._broker.url):
            if wanted:
                self._refuse_full()
            for draft in wanted:
                # How much longer a job far ahead needs them is the submit's affair; see lua/moves.lua.
                self._remember(self._broker.blobs.put(draft.spec.name, draft.content or b""))

    def _refuse_full(self) -> None:
        # Bytes go first, and must not fill what the job itself would be refused for. Who works there looks each second.
        percent = int(self._broker.redis.get(self._broker.keys("fullness")) or 0)
        if percent >= FULL_PERCENT:
            raise BrokerFull(without_password(self._broker.url), percent)

    def _remember(self, sha256: str) -> None:
        with self._lock:
            self._seen[sha256] = None
            self._seen.move_to_end(sha256)
            if len(self._seen) > _BLOBS_REMEMBERED:
                self._seen.popitem(last=False)

    def _call_until_answered(self, first_id: str, arguments: list[str | int]) -> list[bytes]:
        started, was_sent = time.monotonic(), False
        while True:
            try:
                return self._call(first_id, arguments)
            except (redis.ConnectionError, redis.TimeoutError, redis.ResponseError) as fault:
                was_sent = was_sent or _may_have_been_done(fault)
                if time.monotonic() - started < _TRY_SECONDS and _may_pass(fault):
                    threading.Event().wait(0.1)
                    continue
                if was_sent:
                    raise SubmitUncertain(first_id, reason_of(fault)) from fault
                raise self._unreachable(fault) from fault

    def _call(self, first_id: str, arguments: list[str | int]) -> list[bytes]:
        wanted = self._broker.settings.wait_replicas
        answer: list[bytes]
        if not wanted:
            answer = self._broker.scripts.call("submit", *arguments)
            return answer
        answer, found = self._broker.scripts.call_confirmed("submit", wanted, _CONFIRM_MS, *arguments)
        if found < wanted:
            reason = f"{found} of {wanted} replicas confirmed it within {_CONFIRM_MS / 1000:g} s"
            raise SubmitUncertain(first_id, reason)
        return answer

    def _unreachable(self, fault: Exception) -> BrokerUnreachable:
        if isinstance(fault, redis.exceptions.OutOfMemoryError):
            return BrokerFull(without_password(self._broker.url), 100)
        reason = answer_of(fault) if isinstance(fault, redis.ResponseError) else reason_of(fault)
        return BrokerUnreachable(without_password(self._broker.url), reason)


def _sha256(spec: JobSpec) -> str:
    return spec.source.sha256 if spec.source else ""


def _may_have_been_done(fault: Exception) -> bool:
    """Tell whether the server may have done what was asked: not when it refused, or was never reached."""
    refused = (redis.AuthenticationError, redis.BusyLoadingError, redis.ResponseError, MasterNotFoundError)
    return not isinstance(fault, refused) and " connecting to " not in str(fault)


def _may_pass(fault: Exception) -> bool:
    return not isinstance(fault, (redis.AuthenticationError, redis.ResponseError))
