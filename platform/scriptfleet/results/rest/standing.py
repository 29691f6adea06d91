"""Where a job stands by the broker: what a submit, a wait and every order about a job answer."""

from datetime import datetime
from typing import Any, Self

from fastapi import Response
from pydantic import BaseModel, Field, JsonValue

from scriptfleet.domain.state import State
from scriptfleet.queues.job_handle import Job, JobResult
from scriptfleet.results.rest.models import ArtifactView, Measure, moment

_DONE, _ACCEPTED = 200, 202


class ResultView(BaseModel):
    """How a job ended and what its last run cost."""

    exit_code: int = Field(description="The script's own; else the one that stands for the outcome.")
    stdout: str = Field(description="The end, at most 64 KiB; the run's output has all.")
    stderr: str
    output_data: JsonValue = Field(description="What a function returned.")
    usage: dict[str, Measure]
    artifacts: list[ArtifactView]

    @classmethod
    def of(cls, result: JobResult) -> Self:
        """Give the view of a result."""
        return cls(
            exit_code=result.exit_code,
            stdout=result.stdout,
            stderr=result.stderr,
            output_data=result.output_data,
            usage=result.usage.to_dict(),
            artifacts=[ArtifactView.model_validate(one) for one in result.artifacts],
        )


class Standing(BaseModel):
    """Where a job stands now."""

    job_id: str
    name: str
    kind: str
    queue: str
    state: State
    is_final: bool
    priority: int
    attempt: int
    losses: int
    run_id: str | None
    worker: str | None
    reason: str | None
    is_cancel_asked: bool
    rerun_of: str | None
    submitted_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    result: ResultView | None = Field(description="Null until it has ended.")

    @classmethod
    def of(cls, job: Job) -> Self:
        """Ask the broker; raises JobNotFound, BrokerUnreachable."""
        facts = job.facts()
        is_final = facts["state"].is_final
        moments = {name: moment(facts[name]) for name in ("submitted_at", "started_at", "ended_at")}
        result = ResultView.of(job.result(0)) if is_final else None
        return cls.model_validate({**facts, **moments, "is_final": is_final, "result": result})


def told(job: Job, response: Response) -> Standing:
    """Give where a job stands as an answer: 200 once it has ended, 202 before, and where it is to be found."""
    found = Standing.of(job)
    response.status_code = _DONE if found.is_final else _ACCEPTED
    response.headers["Location"] = f"/api/v1/jobs/{job.id}"
    return found


def in_body(model: type[BaseModel], description: str) -> dict[str, Any]:
    """Give how OpenAPI describes one more answer of a route."""
    return {"model": model, "description": description}


#: For OpenAPI: the answers of a route that gives where a job stands.
ENDED_OR_NOT: dict[int | str, dict[str, Any]] = {
    _DONE: in_body(Standing, "It has ended by now."),
    _ACCEPTED: in_body(Standing, "It is under way."),
}
