"""The Client: how an app submits jobs. Submitting is idempotent: the client mints the id, the broker keeps one."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Unpack

import redis

from scriptfleet.config import Settings, load_settings
from scriptfleet.domain.job import JobSpec
from scriptfleet.errors import InvalidValue
from scriptfleet.queues import drafts
from scriptfleet.queues.blobs import BlobStore
from scriptfleet.queues.close_looks import CloseLooks
from scriptfleet.queues.connection import connect, told_plainly
from scriptfleet.queues.dead_jobs import DeadJobs
from scriptfleet.queues.drafts import Draft, Options
from scriptfleet.queues.job_handle import Job
from scriptfleet.queues.keys import Keys
from scriptfleet.queues.live_output import LiveOutput
from scriptfleet.queues.living_jobs import BATCH, LivingJobs
from scriptfleet.queues.message import template
from scriptfleet.queues.orders import Order, Verb
from scriptfleet.queues.rerun import again, spec_in
from scriptfleet.queues.scripts import Scripts
from scriptfleet.queues.submission import Submitter, ids_for

#: An answer that takes longer counts as none; with the connect time and the tries it stays under 5 s.
_ANSWER_SECONDS: Final = 3.0


@dataclass(frozen=True)
class Broker:
    """A connection to the broker and what is said over it."""

    settings: Settings

    @property
    def url(self) -> str:
        """The address."""
        return self.settings.broker_url()

    @cached_property
    def redis(self) -> redis.Redis:
        """The connection pool."""
        return connect(self.url, answer_seconds=_ANSWER_SECONDS)

    @cached_property
    def keys(self) -> Keys:
        """Names of keys."""
        return Keys(self.settings.namespace)

    @cached_property
    def scripts(self) -> Scripts:
        """The Lua scripts."""
        return Scripts(self.redis, self.keys)

    @cached_property
    def blobs(self) -> BlobStore:
        """Bytes of scripts."""
        return BlobStore(self.redis, self.keys, self.settings.blob_max_bytes)

    @cached_property
    def live_output(self) -> LiveOutput:
        """Output of running jobs."""
        return LiveOutput(self.redis, self.keys, self.scripts)

    @cached_property
    def close_looks(self) -> CloseLooks:
        """Which running jobs somebody looks at closely."""
        return CloseLooks(self.redis, self.keys)

    @property
    def keep_ms(self) -> int:
        """How long a finished job stays."""
        return round(self.settings.result_hours * 3_600_000)

    def cancel(self, job_ids: Sequence[str]) -> list[str]:
        """Cancel jobs; give the state each was found in, or 'gone'."""
        with told_plainly(self.url):
            key = self.settings.signing_key
            orders = [word for job_id in job_ids for word in (job_id, Order.now(Verb.STOP, job_id).to_text(key))]
            return [found.decode() for found in self.scripts.call("cancel", template(), self.keep_ms, *orders)]

    def cancel_all(self, batches: Iterable[Sequence[str]]) -> dict[str, int]:
        """Cancel jobs, one call to the server for each batch; give how many were found in which state."""
        counts: Counter[str] = Counter()
        seen: set[str] = set()
        for batch in batches:
            # A job may come twice out of a set that shrinks while it is read.
            new = [job_id for job_id in dict.fromkeys(batch) if job_id not in seen]
            seen.update(new)
            counts.update(self.cancel(new))
        return dict(counts)


class Client:
    """Submits jobs to a fleet. Needs Redis alone; safe to share between threads.

    Every ``submit`` raises InvalidValue for what cannot be, BrokerUnreachable when the broker is away,
    SubmitUncertain (with the id) when it went away before it answered, IdempotencyConflict for a key in use.
    """

    def __init__(self, redis_url: str | None = None, *, settings: Settings | None = None) -> None:
        found = settings or load_settings()
        self._broker = Broker(found.with_urls(redis_url=redis_url))
        self._submitter = Submitter(self._broker)

    @property
    def broker(self) -> Broker:
        """The broker this client speaks to."""
        return self._broker

    def cancel(
        self,
        job_ids: Sequence[str] = (),
        *,
        group: str | None = None,
        labels: Mapping[str, str] | None = None,
        queue: str | None = None,
    ) -> dict[str, int]:
        """Cancel jobs by their ids, or all that live of a group, with labels, or both, perhaps of one queue alone.

        One that waits ends at once; one that runs is told to end, with its whole tree. Gives how many were found in
        which state; what had ended stays as it is, and ``gone`` are ids that the broker does not know. A job that is
        submitted meanwhile may be missed. Raises InvalidValue when nothing or too much is named, BrokerUnreachable.
        """
        if not group and not labels:
            if queue is not None or not job_ids:
                raise InvalidValue("cancel", queue or "", "ids of jobs, a group or labels")
            return self._broker.cancel_all(job_ids[at : at + BATCH] for at in range(0, len(job_ids), BATCH))
        if job_ids:
            raise InvalidValue("job_ids", len(job_ids), "none beside a group or labels")
        return self._broker.cancel_all(LivingJobs(self._broker, group, labels or {}, queue).batches())

    def submit(
        self,
        script: str | Path,
        args: Sequence[str] = (),
        *,
        entry: str | None = None,
        uv: bool | None = None,
        **options: Unpack[Options],
    ) -> Job:
        """Submit a script file, or a folder with an ``entry`` script in it. The bytes travel with the job.

        ``uv`` says whether uv runs it; None means that it does when the script has inline dependencies (PEP 723).
        """
        return self.submit_draft(drafts.of_script(script, args, self._limit, entry, uv, **options))

    def submit_code(
        self, code: str, args: Sequence[str] = (), *, uv: bool | None = None, **options: Unpack[Options]
    ) -> Job:
        """Submit Python source text; ``uv`` as for a script."""
        return self.submit_draft(drafts.of_code(code, args, self._limit, uv, **options))

    def submit_shell(self, command: str, *, shell: str = "sh", **options: Unpack[Options]) -> Job:
        """Submit a shell command line."""
        return self.submit_draft(drafts.of_command(command, shell, **options))

    def submit_function(
        self,
        function: str | Callable[..., Any],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        folder: str | Path | None = None,
        **options: Unpack[Options],
    ) -> Job:
        """Submit a function (``module:function`` or the function); what it returns is ``result().output_data``."""
        return self.submit_draft(drafts.of_function(function, args, kwargs or {}, self._limit, folder, **options))

    def submit_http(
        self,
        url: str,
        method: str = "GET",
        *,
        headers: Mapping[str, object] | None = None,
        body: object = None,
        auth: Mapping[str, object] | None = None,
        request_timeout: float | None = None,
        expect: Sequence[int] | None = None,
        **options: Unpack[Options],
    ) -> Job:
        """Submit an HTTP request; see drafts.of_http. The answer's body is the run's output."""
        return self.submit_draft(
            drafts.of_http(
                url,
                method,
                headers=headers,
                body=body,
                auth=auth,
                request_timeout=request_timeout,
                expect=expect,
                **options,
            )
        )

    def submit_file_operation(
        self,
        operation: str,
        source: str | Path | None = None,
        destination: str | Path | None = None,
        *,
        settings: Mapping[str, object] | None = None,
        **options: Unpack[Options],
    ) -> Job:
        """Submit a copy, move, delete or create of files on the worker; see drafts.of_file_operation."""
        return self.submit_draft(drafts.of_file_operation(operation, source, destination, settings, **options))

    def submit_kind(
        self, kind: str, config: Mapping[str, Any], args: Sequence[str] = (), **options: Unpack[Options]
    ) -> Job:
        """Submit a job of a kind that an installed package adds."""
        return self.submit_draft(drafts.of_kind(kind, config, args, **options))

    def submit_many(
        self, jobs: Iterable[str | Path | JobSpec | Draft], *, job_ids: Sequence[str] | None = None
    ) -> list[Job]:
        """Submit many jobs - scripts by path, specs, or drafts - in few round trips; give handles in their order.

        When it could not all be done, SubmitUncertain and IdempotencyConflict carry the handles of what is there
        (``submitted``), and SubmitUncertain the ids of the rest (``job_ids``). ``job_ids`` gives each job an id, a
        UUID: whoever repeats a call with the same ids, or calls for the rest with theirs, makes no job twice.
        Raises BlobMissing for a spec whose bytes are neither with it nor with the broker.
        """
        made = [self._draft(job) for job in jobs]
        return self._submitter.submit(list(zip(ids_for(len(made), job_ids), made, strict=True)))

    def submit_draft(self, draft: Draft, job_id: str | None = None) -> Job:
        """Submit a draft; with the id, a UUID, of an earlier, uncertain submit it is that same job."""
        return self.submit_many([draft], job_ids=None if job_id is None else [job_id])[0]

    def rerun(self, job_id: str, **changes: Any) -> Job:
        """Submit a job again as a new one: the same, or changed by options of a submit and by ``args`` and ``kwargs``.

        A mapping given as ``env``, ``labels``, ``limits``, ``retry`` or ``isolation`` changes what it names and leaves
        the rest. Idempotency key, schedule and the moments to start are not taken over. The new job's ``rerun_of`` is
        the old one's id. Raises as ``submit`` does, JobNotFound once the broker has let the job go, and BlobMissing
        when the bytes of its script are gone.
        """
        return self.submit_draft(Draft(again(spec_in(self._broker, job_id), job_id, changes)))

    def retry(self, job_id: str) -> Job:
        """Submit a job again with the same input; see rerun()."""
        return self.rerun(job_id)

    @property
    def dead(self) -> DeadJobs:
        """Jobs that ended badly and have no attempts left."""
        return DeadJobs(self._broker, self._submitter)

    def job(self, job_id: str) -> Job:
        """Give a handle on a job that is already there."""
        return Job(job_id, self._broker)

    @property
    def _limit(self) -> int:
        return self._broker.settings.blob_max_bytes

    def _draft(self, job: str | Path | JobSpec | Draft) -> Draft:
        if isinstance(job, Draft):
            return job
        return Draft(job) if isinstance(job, JobSpec) else drafts.of_script(job, (), self._limit)
