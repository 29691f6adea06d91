"""The error tree. Each class carries its data and builds its own message: what happened, the value, what to do.

ScriptfleetError
├── InvalidValue            a field that cannot be: names field, value and what is allowed (also a ValueError)
│   └── BlobTooLarge        a script or bundle over the size limit
├── JobNotFound             no such job in the broker
├── RunNotFound             no such run in the store
├── IdempotencyConflict     the same key was used for another spec
├── SubmitUncertain         the broker went away mid-submit: the job may exist, its id is known
├── WaitTimedOut            a job did not end in the time given to wait
├── BrokerUnreachable       Redis cannot be reached or refuses
│   └── BrokerFull          Redis is near its memory limit and takes no new job
├── StoreUnreachable        the database cannot be reached or has another schema
├── BlobMissing             a script's bytes are not where they should be, or are not what was sent
└── EngineFailed            the engine itself, not the script, could not go on
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scriptfleet.queues.job_handle import Job


class ScriptfleetError(Exception):
    """Root of every error this package raises on purpose."""


class InvalidValue(ScriptfleetError, ValueError):
    """A value at the edge that cannot be accepted."""

    def __init__(self, field: str, value: object, expected: str) -> None:
        self.field, self.value, self.expected = field, value, expected
        super().__init__(f"{field}: {_short(value)} is not accepted: expected {expected}")


class BlobTooLarge(InvalidValue):
    """A script or bundle larger than the broker may hold."""

    def __init__(self, name: str, size_bytes: int, limit_bytes: int) -> None:
        self.size_bytes, self.limit_bytes = size_bytes, limit_bytes
        allowed = f"at most {limit_bytes:,} bytes (SCRIPTFLEET_BLOB_MAX_BYTES raises the limit)"
        super().__init__("script size", f"{name}, {size_bytes:,} bytes", allowed)


class JobNotFound(ScriptfleetError):
    """The broker knows no such job."""

    def __init__(self, job_id: str) -> None:
        self.job_id = job_id
        super().__init__(
            f"job not found: {job_id} (`scriptfleet ps` lists jobs; ended ones leave the broker after some hours)"
        )


class RunNotFound(ScriptfleetError):
    """The store knows no such run."""

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id
        super().__init__(f"run not found: {run_id}")


class IdempotencyConflict(ScriptfleetError):
    """An idempotency key that already stands for another spec; ``submitted`` are the handles of what does exist."""

    def __init__(self, key: str, job_id: str, submitted: "Sequence[Job]" = ()) -> None:
        self.key, self.job_id, self.submitted = key, job_id, tuple(submitted)
        super().__init__(f"idempotency key {key!r} already belongs to job {job_id} with another spec: use a new key")


class SubmitUncertain(ScriptfleetError):
    """The submit was sent and no answer came: the job may or may not exist.

    Of many jobs, ``job_ids`` are those not known to be there, in their order, and ``submitted`` the handles of those
    before them that are.
    """

    def __init__(
        self, job_id: str, reason: str, job_ids: "Sequence[str]" = (), submitted: "Sequence[Job]" = ()
    ) -> None:
        self.job_id, self.reason = job_id, reason
        self.job_ids, self.submitted = tuple(job_ids) or (job_id,), tuple(submitted)
        more = f" and {len(self.job_ids) - 1:,} more" if len(self.job_ids) > 1 else ""
        again = "submit again with the same ids" if more else "submit again with this id"
        super().__init__(f"no answer to submitting job {job_id}{more} ({reason}): {again}, or look it up")


class WaitTimedOut(ScriptfleetError, TimeoutError):
    """A job was still going when the time to wait was over; the job itself goes on."""

    def __init__(self, job_id: str, seconds: float, state: str) -> None:
        self.job_id, self.seconds, self.state = job_id, seconds, state
        super().__init__(f"job {job_id} is still {state} after {seconds:g} s: wait longer, or cancel it")


class BrokerUnreachable(ScriptfleetError, ConnectionError):
    """Redis is away, refuses the login, or is not one that fits."""

    def __init__(self, url: str, reason: str) -> None:
        self.url, self.reason = url, reason
        way = "start one with `scriptfleet up`, or name another with --redis or SCRIPTFLEET_REDIS_URL"
        super().__init__(f"no broker at {url}: {reason} ({way})")


class BrokerFull(BrokerUnreachable):
    """Redis is so near its memory limit that it takes no new job: those that are there are to end. Nothing was done."""

    def __init__(self, url: str, percent: int) -> None:
        self.percent = percent
        super().__init__(url, f"{percent} % of its memory limit is in use")
        way = "wait until jobs have ended, or give it more maxmemory"
        self.args = (f"the broker at {url} takes no new job: {self.reason} ({way})",)


class StoreUnreachable(ScriptfleetError):
    """The database is away or does not have the schema this version needs."""

    def __init__(self, url: str, reason: str) -> None:
        self.url, self.reason = url, reason
        super().__init__(f"no usable database at {url}: {reason}")


class BlobMissing(ScriptfleetError):
    """A script's bytes are gone from the broker, or arrived changed."""

    def __init__(self, sha256: str, reason: str) -> None:
        self.sha256, self.reason = sha256, reason
        super().__init__(f"script bytes {sha256[:12]}: {reason}: submit the job again")


class EngineFailed(ScriptfleetError):
    """The launcher or a shim failed; the script is not to blame."""


def _short(value: object, limit: int = 120) -> str:
    text = _said(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _said(value: object) -> str:
    """Give a value as people write it in files and JSON, not as Python does."""
    if isinstance(value, str):
        return repr(value)
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict | list | tuple):
        # Few values are one of these, and many processes see no error.
        import json  # noqa: PLC0415

        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)
