"""All routes of REST, put together."""

from fastapi import APIRouter

from scriptfleet.results.rest.artifacts import artifact_routes
from scriptfleet.results.rest.dead import dead_routes
from scriptfleet.results.rest.definitions import definition_routes
from scriptfleet.results.rest.execute import execute_routes
from scriptfleet.results.rest.exports import export_routes
from scriptfleet.results.rest.job_writing import job_writing_routes
from scriptfleet.results.rest.jobs import job_routes
from scriptfleet.results.rest.live import live_routes
from scriptfleet.results.rest.metrics import metric_routes
from scriptfleet.results.rest.output import output_routes
from scriptfleet.results.rest.parts import RestParts
from scriptfleet.results.rest.queue_orders import queue_routes
from scriptfleet.results.rest.runs import run_routes
from scriptfleet.results.rest.workers import worker_routes


def rest_routes(parts: RestParts) -> APIRouter:
    """Give every route of the nouns under /api/v1."""
    router = APIRouter()
    for make in (
        *(job_routes, job_writing_routes, run_routes, output_routes, artifact_routes),
        *(worker_routes, queue_routes, dead_routes, execute_routes, definition_routes, live_routes, metric_routes),
        export_routes,
    ):
        router.include_router(make(parts))
    return router
