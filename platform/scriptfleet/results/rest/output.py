"""REST of output: byte for byte as it is stored, by ranges; and followed while it comes."""

import re
from typing import Annotated, Final

from fastapi import APIRouter, Header, Query, Response
from fastapi.responses import StreamingResponse

from scriptfleet.domain.role import Role
from scriptfleet.errors import RunNotFound
from scriptfleet.queues.connection import told_plainly
from scriptfleet.results.access.needs import needs
from scriptfleet.results.rest.event_stream import MEDIA_TYPE, EventStream
from scriptfleet.results.rest.follow import END, Follower, Place
from scriptfleet.results.rest.models import OutputQuery
from scriptfleet.results.rest.parts import RestParts
from scriptfleet.results.rest.refusals import RangeNotSatisfiable

_TEXT: Final = "text/plain; charset=utf-8"
_WHOLE, _PART, _NO_MORE = 200, 206, 204
_RANGE: Final = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})", re.ASCII)

LastEventId = Annotated[
    str | None,
    Header(alias="Last-Event-ID", description="Id of the last event seen: what follows it comes.", max_length=64),
]
Range = Annotated[
    str | None, Header(alias="Range", description="One range of bytes.", examples=["bytes=0-1023", "bytes=-500"])
]


def output_routes(parts: RestParts) -> APIRouter:
    """Give the routes."""
    router = APIRouter(prefix="/api/v1", tags=["output"], dependencies=[needs(Role.VIEWER)])
    # Said to be binary, generated clients would take text for bytes.
    body = {"content": {"text/plain": {"schema": {"type": "string"}}}}

    @router.get(
        "/runs/{run_id}/output",
        summary="What a run wrote, byte for byte as it is stored once it has ended",
        response_class=StreamingResponse,
        responses={200: body, 206: {**body, "description": "The range that was asked for."}},
    )
    def get_output(run_id: str, query: Annotated[OutputQuery, Query()], byte_range: Range = None) -> StreamingResponse:
        parts.runs.get(run_id)
        return _output(parts, run_id, query.stream, byte_range)

    @router.get(
        "/runs/{run_id}/output/follow",
        summary="What a run writes, as server-sent events: output, gap and, at the end, end",
        response_class=StreamingResponse,
        responses={
            200: {"content": {MEDIA_TYPE: {"schema": {"type": "string"}}}},
            204: {"description": "All has been seen: the run has ended."},
        },
    )
    def follow_output(run_id: str, last_event_id: LastEventId = None) -> Response:
        if last_event_id == END:
            # Browsers connect again until they are told so.
            return Response(status_code=_NO_MORE)
        _require(parts, run_id)
        follower = Follower(parts, run_id, Place.read(last_event_id))
        return EventStream(follower.events, parts.followers)

    return router


def _require(parts: RestParts, run_id: str) -> None:
    """Raise RunNotFound for a run that neither the store nor the broker knows."""
    try:
        parts.runs.get(run_id)
    except RunNotFound:
        broker = parts.client.broker
        with told_plainly(broker.url):
            if not broker.live_output.is_there(run_id):
                raise


def _output(parts: RestParts, run_id: str, stream: str, said: str | None) -> StreamingResponse:
    size = parts.outputs.size(run_id, stream).size_bytes
    wanted = _wanted(said, size)
    start, stop = wanted or (0, size)
    headers = {"Accept-Ranges": "bytes", "Content-Length": str(stop - start)}
    if wanted:
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
    body = parts.outputs.read(run_id, stream, start, stop)
    return StreamingResponse(body, _PART if wanted else _WHOLE, headers, _TEXT)


def _wanted(said: str | None, size: int) -> tuple[int, int] | None:
    """Give begin and end of the range asked for; None for all. What is no single range is passed over, as HTTP says."""
    found = _RANGE.fullmatch(said.strip()) if said else None
    if found is None or found[0] == "bytes=-":
        return None
    if not found[1]:
        start, stop = max(0, size - int(found[2])), size
    else:
        start, stop = int(found[1]), min(size, int(found[2]) + 1) if found[2] else size
        if found[2] and int(found[2]) < start:
            return None
    if start >= stop:
        raise RangeNotSatisfiable(found[0], size)
    return start, stop
