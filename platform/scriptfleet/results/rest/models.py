"""What REST takes and gives. Moments are ISO 8601 in UTC; measures have their canonical names, null where unknown."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, WithJsonSchema

from scriptfleet.domain import check
from scriptfleet.domain.masking import shown_spec
from scriptfleet.domain.sample import Sample
from scriptfleet.domain.state import State
from scriptfleet.errors import InvalidValue
from scriptfleet.queues.rerun import rerun_of
from scriptfleet.storage.job_store import JobFilter, JobRow
from scriptfleet.storage.paging import MOST_ROWS, PageRequest
from scriptfleet.storage.run_filter import RunFilter
from scriptfleet.storage.run_store import RunRow

Measure = bool | int | float | str | None

#: PostgreSQL and Python both end before these.
_EARLIEST, _LATEST = 0.0, 253_402_300_799.0

LABEL_OF_A_JOB = "A label of the job, as `name=value`."
#: Checked where it is used, with a sentence of its own; here it is told to those who read the description.
QueueName = Annotated[
    str, WithJsonSchema({"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$", "examples": ["default"]})
]
MOMENT = "ISO 8601 with offset, such as 2026-03-01T00:00:00Z, or seconds since the epoch."


class PageQuery(BaseModel):
    """Which page of a list. An unknown parameter is refused, since it is usually a filter misspelt."""

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(50, ge=1, le=MOST_ROWS, description="How many at most.")
    cursor: str | None = Field(None, description="`next_cursor` of the page before.")

    def page(self) -> PageRequest:
        """Give what the store takes."""
        return PageRequest(self.limit, self.cursor)


class OutputQuery(BaseModel):
    """Which output of a run."""

    model_config = ConfigDict(extra="forbid")

    stream: Literal["stdout", "stderr"] = "stdout"


class JobQuery(PageQuery):
    """Which jobs; all that is given must hold."""

    state: State | None = None
    name: str | None = Field(None, description="Of the script.")
    script: str | None = Field(None, description="The same as `name`.")
    kind: str | None = None
    queue: str | None = None
    group: str | None = None
    label: str | None = Field(None, description=LABEL_OF_A_JOB, examples=["team=ops"])
    worker: str | None = Field(None, description="That had a run of the job.")
    schedule: str | None = None
    since: str | None = Field(None, description=f"Submitted at this moment or later. {MOMENT}")
    until: str | None = Field(None, description=f"Submitted before this moment. {MOMENT}")

    def which(self) -> JobFilter:
        """Give what the store takes; raises InvalidValue."""
        return JobFilter(
            state=self.state,
            name=_one_name(self.name, self.script),
            kind=self.kind,
            queue=self.queue,
            group_name=self.group,
            label=label_of(self.label),
            worker=self.worker,
            schedule=self.schedule,
            since=seconds_of("since", self.since),
            until=seconds_of("until", self.until),
        )


class RunFilterQuery(BaseModel):
    """Which runs; all that is given must hold. The outcome ``running`` finds those still under way."""

    model_config = ConfigDict(extra="forbid")

    job_id: str | None = None
    name: str | None = Field(None, description="Of the script.")
    script: str | None = Field(None, description="The same as `name`.")
    kind: str | None = None
    queue: str | None = None
    group: str | None = None
    label: str | None = Field(None, description=LABEL_OF_A_JOB, examples=["team=ops"])
    worker: str | None = None
    outcome: State | None = None
    since: str | None = Field(None, description=f"Begun at this moment or later. {MOMENT}")
    until: str | None = Field(None, description=f"Begun before this moment. {MOMENT}")

    def which(self) -> RunFilter:
        """Give what the store takes; raises InvalidValue."""
        return RunFilter(
            job_id=self.job_id,
            name=_one_name(self.name, self.script),
            kind=self.kind,
            queue=self.queue,
            group_name=self.group,
            label=label_of(self.label),
            worker=self.worker,
            outcome=self.outcome,
            since=seconds_of("since", self.since),
            until=seconds_of("until", self.until),
        )


class RunQuery(PageQuery, RunFilterQuery):
    """Which runs, and which page of them."""


class ArtifactView(BaseModel):
    """A file that a run kept."""

    model_config = ConfigDict(from_attributes=True)

    name: str
    size_bytes: int
    sha256: str


class RunView(BaseModel):
    """A run."""

    run_id: str
    job_id: str
    name: str | None
    kind: str | None
    queue: str | None
    attempt: int | None
    worker: str | None
    host: str | None
    outcome: State | None = Field(description="Why it ended; null while it runs.")
    is_stale: bool = Field(description="Another run owned the job when this one ended.")
    claimed_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    usage: dict[str, Measure] = Field(description="Every measure; what the script reported itself as `custom.NAME`.")
    output_data: JsonValue
    stdout_cut_bytes: int | None
    stderr_cut_bytes: int | None
    artifacts: list[ArtifactView] | None = Field(
        description="Files it kept; null while it runs and where its record did not tell."
    )

    @classmethod
    def of(cls, run: RunRow) -> Self:
        """Give the view of a stored run."""
        return cls.model_validate(_run_fields(run))


class RunDetail(RunView):
    """A run with its cost curve."""

    curve: list[tuple[float, float, float, int, int | None, int | None]] = Field(
        description="Points: seconds since start, CPU percent, resident MiB, processes, bytes read from storage and "
        "written to it so far; null where nobody told. Empty while the run goes on: its samples have the curve so far."
    )

    @classmethod
    def with_curve(cls, run: RunRow, curve: Sequence[Sample]) -> Self:
        """Give the view of a stored run and its curve."""
        return cls.model_validate({**_run_fields(run), "curve": curve})


class JobView(BaseModel):
    """A job."""

    job_id: str
    name: str | None
    kind: str | None
    queue: str | None
    priority: int | None
    group: str | None
    labels: dict[str, str]
    schedule: str | None
    submitted_by: str | None
    state: State
    attempt: int
    reason: str | None
    last_run_id: str | None
    rerun_of: str | None = Field(description="The job that it was made from by a rerun.")
    submitted_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None

    @classmethod
    def of(cls, job: JobRow) -> Self:
        """Give the view of a stored job."""
        return cls.model_validate(_job_fields(job))


class JobDetail(JobView):
    """A job with its spec and its newest runs."""

    spec: dict[str, JsonValue] | None
    runs: list[RunView]
    why_waits: str | None = Field(None, description="Why it has not started just now, while it is queued.")
    is_stored: bool = Field(True, description="Whether the store has seen it; until then its runs are missing here.")

    @classmethod
    def with_runs(cls, job: JobRow, runs: list[RunRow], secret_prefixes: Sequence[str] = ()) -> Self:
        """Give the view of a stored job and its runs; secrets in the spec are not shown."""
        spec = shown_spec(json.loads(job.spec), secret_prefixes) if job.spec else None
        return cls.model_validate({**_job_fields(job), "spec": spec, "runs": [RunView.of(run) for run in runs]})


class JobPage(BaseModel):
    """Some jobs, the last submitted first."""

    jobs: list[JobView]
    next_cursor: str | None


class RunPage(BaseModel):
    """Some runs, the last begun first."""

    runs: list[RunView]
    next_cursor: str | None


def seconds_of(field: str, said: str | None) -> float | None:
    """Read a moment as seconds since the epoch; raises InvalidValue."""
    if said is None:
        return None
    found = _number(said) if _number(said) is not None else _iso(said)
    if found is None or not _EARLIEST <= found <= _LATEST:
        raise InvalidValue(field, said, "ISO 8601 with offset, or seconds since the epoch")
    return found


def _one_name(name: str | None, script: str | None) -> str | None:
    if name is not None and script is not None and name != script:
        raise InvalidValue("script", script, f"the same as name, {name!r}, or one of the two")
    return script if name is None else name


def label_of(said: str | None) -> tuple[str, str] | None:
    """Read a label, ``name=value``; raises InvalidValue."""
    if said is None:
        return None
    name, equals, value = said.partition("=")
    if not equals:
        raise InvalidValue("label", said, "name=value")
    return check.text("label", name, 64), check.text("label", value, 256, may_be_empty=True)


def _number(said: str) -> float | None:
    try:
        return float(said)
    except ValueError:
        return None


def _iso(said: str) -> float | None:
    try:
        # An unescaped plus sign of an offset arrives as a space.
        parsed = datetime.fromisoformat(said.strip().replace(" ", "+") if "T" in said else said)
        return parsed.timestamp() if parsed.tzinfo else None
    except (ValueError, OverflowError):
        return None


def moment(seconds: float | None) -> datetime | None:
    """Give a moment of the store as a datetime in UTC."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def _run_fields(run: RunRow) -> dict[str, object]:
    same = ("run_id", "job_id", "name", "kind", "queue", "attempt", "worker", "host", "outcome", "is_stale")
    rest = ("output_data", "stdout_cut_bytes", "stderr_cut_bytes", "artifacts")
    found: dict[str, object] = {name: getattr(run, name) for name in (*same, *rest)}
    moments = {name: moment(getattr(run, name)) for name in ("claimed_at", "started_at", "finished_at")}
    return {**found, **moments, "usage": run.usage.to_dict()}


def _job_fields(job: JobRow) -> dict[str, object]:
    same = ("job_id", "name", "kind", "queue", "priority", "schedule", "submitted_by", "state", "attempt")
    found: dict[str, object] = {name: getattr(job, name) for name in (*same, "reason", "last_run_id")}
    moments = {name: moment(getattr(job, name)) for name in ("submitted_at", "started_at", "finished_at")}
    origin = rerun_of(job.spec)
    return {**found, **moments, "group": job.group_name, "labels": job.labels or {}, "rerun_of": origin}
