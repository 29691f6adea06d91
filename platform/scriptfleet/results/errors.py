"""Which HTTP answer each error gives: one table. Answers are application/problem+json (RFC 9457) with a stable code."""

import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import Scope

from scriptfleet import errors
from scriptfleet.config import NoFleet
from scriptfleet.domain.definition import DefinitionNotFound
from scriptfleet.results.access.needs import RoleTooLow
from scriptfleet.results.headers import DESCRIPTION
from scriptfleet.results.request_faults import UNREADABLE, UNREADABLE_SAID, first_fault
from scriptfleet.results.rest import refusals

_log = logging.getLogger(__name__)

#: Gives the page of a problem, from what is known of the request, the problem and its detail.
PageOfProblem = Callable[[Mapping[str, Any], "Problem", str], Response]


@dataclass(frozen=True, slots=True)
class Problem:
    """One kind of answer. ``code`` is stable: programs may rely on it."""

    status: HTTPStatus
    code: str
    title: str


_UNPROCESSABLE = HTTPStatus(422)
#: Of an answer that says to come again.
_RETRY_SECONDS = "5"

PROBLEMS: dict[type[errors.ScriptfleetError], Problem] = {
    errors.InvalidValue: Problem(_UNPROCESSABLE, "invalid_value", "A value cannot be accepted"),
    errors.BlobTooLarge: Problem(HTTPStatus(413), "blob_too_large", "The script is too large"),
    RoleTooLow: Problem(HTTPStatus.FORBIDDEN, "role_too_low", "The token does not allow this"),
    errors.JobNotFound: Problem(HTTPStatus.NOT_FOUND, "job_not_found", "No such job"),
    errors.RunNotFound: Problem(HTTPStatus.NOT_FOUND, "run_not_found", "No such run"),
    DefinitionNotFound: Problem(HTTPStatus.NOT_FOUND, "definition_not_found", "No such definition"),
    errors.IdempotencyConflict: Problem(HTTPStatus.CONFLICT, "idempotency_conflict", "The key stands for another job"),
    errors.SubmitUncertain: Problem(HTTPStatus.GATEWAY_TIMEOUT, "submit_uncertain", "The broker gave no answer"),
    errors.WaitTimedOut: Problem(HTTPStatus.GATEWAY_TIMEOUT, "wait_timed_out", "The job is still going"),
    errors.BrokerUnreachable: Problem(HTTPStatus.SERVICE_UNAVAILABLE, "broker_unreachable", "The broker is away"),
    errors.BrokerFull: Problem(HTTPStatus.SERVICE_UNAVAILABLE, "broker_full", "The broker takes no new job"),
    errors.StoreUnreachable: Problem(HTTPStatus.SERVICE_UNAVAILABLE, "store_unreachable", "The database is unusable"),
    errors.BlobMissing: Problem(HTTPStatus.GONE, "blob_missing", "The script's bytes are gone"),
    NoFleet: Problem(HTTPStatus.SERVICE_UNAVAILABLE, "no_broker", "No broker is named"),
    refusals.WorkerNotFound: Problem(HTTPStatus.NOT_FOUND, "worker_not_found", "No such worker"),
    refusals.JobEnded: Problem(HTTPStatus.CONFLICT, "job_ended", "The job has already ended"),
    refusals.JobForgotten: Problem(HTTPStatus.CONFLICT, "job_forgotten", "The broker has forgotten the job"),
    refusals.NotDead: Problem(HTTPStatus.CONFLICT, "not_dead", "The job is not on the list of dead jobs"),
    refusals.ArtifactNotFound: Problem(HTTPStatus.NOT_FOUND, "artifact_not_found", "No such artifact"),
    refusals.ArtifactGone: Problem(HTTPStatus.GONE, "artifact_gone", "The artifact's bytes are gone"),
    refusals.ServiceBusy: Problem(HTTPStatus.SERVICE_UNAVAILABLE, "busy", "Too many wait already"),
    refusals.RangeNotSatisfiable: Problem(HTTPStatus(416), "range_not_satisfiable", "There is no such range"),
    errors.EngineFailed: Problem(HTTPStatus.INTERNAL_SERVER_ERROR, "engine_failed", "The engine failed"),
    errors.ScriptfleetError: Problem(HTTPStatus.INTERNAL_SERVER_ERROR, "internal_error", "The service failed"),
}

UNAUTHORIZED = Problem(HTTPStatus.UNAUTHORIZED, "unauthorized", "A token is needed")
HOST_REFUSED = Problem(HTTPStatus.FORBIDDEN, "host_refused", "This name is not served")
CROSS_SITE = Problem(HTTPStatus.FORBIDDEN, "cross_site", "The page is too old, or another site's")
TOKEN_IN_ADDRESS = Problem(HTTPStatus.BAD_REQUEST, "token_in_address", "A token does not belong into an address")
INTERNAL = PROBLEMS[errors.ScriptfleetError]

_BY_STATUS = {
    400: Problem(HTTPStatus.BAD_REQUEST, "bad_request", "The request cannot be read"),
    404: Problem(HTTPStatus.NOT_FOUND, "not_found", "There is nothing here"),
    405: Problem(HTTPStatus.METHOD_NOT_ALLOWED, "method_not_allowed", "This method does not work here"),
    408: Problem(HTTPStatus.REQUEST_TIMEOUT, "request_timeout", "The request came too slowly"),
    413: Problem(HTTPStatus(413), "body_too_large", "The request is too large"),
}


def problem_of(error: errors.ScriptfleetError) -> Problem:
    """Give the row of the error's own class, or of the nearest class above it."""
    return next(PROBLEMS[kind] for kind in type(error).__mro__ if kind in PROBLEMS)


def answer(
    problem: Problem, detail: str, headers: Mapping[str, str] | None = None, more: Mapping[str, object] | None = None
) -> JSONResponse:
    """Give the problem+json answer; ``more`` are further members."""
    body = {"type": "about:blank", "title": problem.title, "status": int(problem.status), "code": problem.code}
    said = {**body, "detail": detail, **(more or {})}
    return JSONResponse(said, int(problem.status), headers, media_type="application/problem+json")


def told(
    page: PageOfProblem,
    scope: Scope,
    problem: Problem,
    detail: str,
    headers: Mapping[str, str] | None = None,
    more: Mapping[str, object] | None = None,
) -> Response:
    """Give the answer to who asks: a page to a browser, problem+json to a program."""
    is_page = wants_page(scope["path"], Headers(scope=scope))
    found = page(scope.get("state", {}), problem, detail) if is_page else answer(problem, detail, more=more)
    found.headers.update(headers or {})
    return found


def told_http(page: PageOfProblem, scope: Scope, fault: HTTPException) -> Response:
    """Give the answer to an error that says its own status, where no route is there to answer it."""
    return told(page, scope, _problem_of_status(fault), fault.detail, fault.headers)


def wants_page(path: str, headers: Mapping[str, str]) -> bool:
    """Whether a browser asks that shows people what comes; REST answers everyone alike."""
    return "text/html" in headers.get("accept", "") and not path.startswith("/api/")


def install(app: FastAPI, page: PageOfProblem) -> None:
    """Answer every error of the app by the table: programs get problem+json, browsers on a page get a page."""

    def own(request: Request, error: Exception) -> Response:
        if not isinstance(error, errors.ScriptfleetError):
            raise TypeError(f"not an error of this package: {error!r}")
        problem = problem_of(error)
        return told(page, request.scope, problem, detail_of(error), headers_of(error, problem), _members(error))

    def invalid(request: Request, error: Exception) -> Response:
        return told(page, request.scope, PROBLEMS[errors.InvalidValue], first_fault(request, error))

    def http(request: Request, error: Exception) -> Response:
        if not isinstance(error, HTTPException):
            raise TypeError(f"not an error of a route: {error!r}")
        problem = _problem_of_status(error)
        detail = f"{request.method} {request.url.path}: {_said(request, error)}"
        headers = _allowed(request, error.headers) if problem.status is HTTPStatus.METHOD_NOT_ALLOWED else error.headers
        return told(page, request.scope, problem, detail, headers)

    def unexpected(request: Request, error: Exception) -> Response:
        number = request.state.request_id
        _log.error("request_failed request=%s path=%r", number, request.url.path, exc_info=error)
        detail = f"an unexpected fault: the service's log says more of request {number}"
        return told(page, request.scope, INTERNAL, detail)

    app.add_exception_handler(errors.ScriptfleetError, own)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(Exception, unexpected)


def _said(request: Request, fault: HTTPException) -> str:
    if fault.detail == UNREADABLE:
        return UNREADABLE_SAID
    if fault.status_code == HTTPStatus.NOT_FOUND and request.url.path.startswith("/api"):
        return f"{fault.detail}: GET {DESCRIPTION} describes what there is"
    return fault.detail


def _problem_of_status(fault: HTTPException) -> Problem:
    status = HTTPStatus(fault.status_code)
    return _BY_STATUS.get(int(status), Problem(status, status.name.lower(), status.phrase))


def detail_of(error: errors.ScriptfleetError) -> str:
    """Give what happened, for those who ask over HTTP: texts for a terminal say what only its user can do."""
    if isinstance(error, errors.JobNotFound):
        return f"job not found: {error.job_id}"
    if isinstance(error, errors.BrokerUnreachable) and not isinstance(error, errors.BrokerFull):
        return f"no broker at {error.url}: {error.reason}"
    return str(error)


def _allowed(request: Request, headers: Mapping[str, str] | None) -> Mapping[str, str] | None:
    """Give every method of the path: the router names those of the first route that fits alone."""
    found = request.app.openapi()["paths"]
    path = request.url.path
    fitting = [path] if path in found else [one for one in found if _fits(one, path)]
    methods = sorted({method.upper() for one in fitting for method in found[one]})
    return {"Allow": ", ".join(methods)} if methods else headers


def _fits(template: str, path: str) -> bool:
    pattern = re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(template))
    return re.fullmatch(pattern, path) is not None


def headers_of(error: errors.ScriptfleetError, problem: Problem) -> dict[str, str]:
    """Give the headers that go with an error."""
    if isinstance(error, refusals.RangeNotSatisfiable):
        return {"Content-Range": f"bytes */{error.size_bytes}"}
    return {"Retry-After": _RETRY_SECONDS} if problem.status is HTTPStatus.SERVICE_UNAVAILABLE else {}


def _members(error: errors.ScriptfleetError) -> dict[str, object]:
    """Give what a program needs to go on: the jobs that the error is about."""
    if isinstance(error, errors.SubmitUncertain):
        there = [job.id for job in error.submitted]
        return {"job_id": error.job_id, "job_ids": list(error.job_ids), "submitted": there}
    if isinstance(error, errors.IdempotencyConflict | errors.WaitTimedOut | errors.JobNotFound):
        return {"job_id": error.job_id}
    if isinstance(error, refusals.JobStands):
        return {"job_id": error.job_id, "state": str(error.state)}
    return {}
