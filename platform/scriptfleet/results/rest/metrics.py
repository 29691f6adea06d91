"""REST of metrics: which there are, their values over time, buckets of them, and aggregates."""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from scriptfleet.domain.role import Role
from scriptfleet.results.access.needs import needs
from scriptfleet.results.rest.models import RunFilterQuery
from scriptfleet.results.rest.parts import RestParts
from scriptfleet.storage import distribution, series
from scriptfleet.storage.metric import Metric

_MOST_VALUES = 10_000


class MetricQuery(RunFilterQuery):
    """Of which runs; all that is given must hold."""

    limit: int = Field(1000, ge=1, le=_MOST_VALUES, description="How many values at most.")
    offset: int = Field(0, ge=0, le=2**31 - 1)


class BucketQuery(RunFilterQuery):
    """Of which runs, and how wide a bucket is."""

    size: Literal["5min", "15min", "1hour", "1day"] = "1hour"


class MetricView(BaseModel):
    """A metric that runs have."""

    name: str
    runs: int = Field(description="How many have it.")


class MetricList(BaseModel):
    """The metrics there are; what scripts reported as `custom.NAME`."""

    metrics: list[MetricView]


class ValueView(BaseModel):
    """A value, at the moment its run began."""

    at: datetime
    run_id: str
    name: str | None
    value: float


class ValueList(BaseModel):
    """Values of a metric, the oldest first."""

    metric: str
    values: list[ValueView]


class BucketView(BaseModel):
    """The values of the runs that began in this time."""

    model_config = ConfigDict(from_attributes=True)

    at: datetime = Field(description="Its beginning.")
    count: int
    avg: float
    min: float
    max: float
    sum: float


class BucketList(BaseModel):
    """Buckets that hold a value, the oldest first."""

    metric: str
    size: str
    buckets: list[BucketView]


class Aggregates(BaseModel):
    """Aggregates of all values: min max avg sum count median p50 p90 p95 p99; null where there is no value."""

    metric: str
    aggregates: dict[str, float | None]


def metric_routes(parts: RestParts) -> APIRouter:
    """Give the routes."""
    router = APIRouter(prefix="/api/v1", tags=["metrics"], dependencies=[needs(Role.VIEWER)])
    database = parts.database

    @router.get("/metrics", summary="The metrics that runs have")
    def list_metrics(query: Annotated[RunFilterQuery, Query()]) -> MetricList:
        found = series.counts(database, query.which())
        return MetricList(metrics=[MetricView(name=name, runs=count) for name, count in found.items()])

    @router.get("/metrics/{metric}/values", summary="The values of a metric over time", response_model=ValueList)
    def get_values(metric: str, query: Annotated[MetricQuery, Query()]) -> Response:
        found = series.values(database, Metric(metric, query.which()), query.limit, query.offset)
        values = [
            {"at": _at(one.began_at), "run_id": one.run_id, "name": one.name, "value": float(one.value)}
            for one in found
        ]
        return _many({"metric": metric, "values": values})

    @router.get("/metrics/{metric}/buckets", summary="A metric over time, in buckets", response_model=BucketList)
    def get_buckets(metric: str, query: Annotated[BucketQuery, Query()]) -> Response:
        found = series.buckets(database, Metric(metric, query.which()), query.size)
        views = [
            {
                "at": _at(one.began_at),
                "count": one.count,
                "avg": one.avg,
                "min": one.min,
                "max": one.max,
                "sum": one.sum,
            }
            for one in found
        ]
        return _many({"metric": metric, "size": query.size, "buckets": views})

    @router.get("/metrics/{metric}/aggregates", summary="Aggregates of a metric")
    def get_aggregates(metric: str, query: Annotated[RunFilterQuery, Query()]) -> Aggregates:
        return Aggregates(metric=metric, aggregates=distribution.aggregates(database, Metric(metric, query.which())))

    return router


def _many(answer: dict[str, Any]) -> Response:
    """Give an answer of its model, written at once: each of ten thousand rows would be checked and copied twice."""
    return Response(msgspec.json.encode(answer), media_type="application/json")


def _at(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
