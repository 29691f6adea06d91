"""REST of exports: past runs, or one metric of them, as a file that is written while it is sent."""

from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import StreamingResponse
from pydantic import Field

from scriptfleet.domain.role import Role
from scriptfleet.results.access.audit import audit
from scriptfleet.results.access.needs import needs
from scriptfleet.results.rest.models import RunFilterQuery
from scriptfleet.results.rest.parts import RestParts
from scriptfleet.results.rest.seated_stream import Pieces, SeatedStream
from scriptfleet.storage.export_forms import FORMS, Form, form_of
from scriptfleet.storage.export_rows import Export, rows_of

#: For OpenAPI: what a body in each format is.
_SCHEMAS: Final[dict[str, dict[str, Any]]] = {
    "csv": {"type": "string"},
    "json": {"type": "array", "items": {"type": "object", "additionalProperties": True}},
    "jsonl": {"type": "string"},
    "parquet": {"type": "string", "format": "binary"},
}


class ExportQuery(RunFilterQuery):
    """Which runs, and how they are written."""

    format: Literal["csv", "json", "jsonl", "parquet"] = "csv"
    metric: str | None = Field(None, description="Only this metric, a row a value; else each row is a whole run.")

    def said(self) -> dict[str, Any]:
        """Give what was asked for, for the audit log."""
        return self.model_dump(mode="json", exclude_none=True)


def export_routes(parts: RestParts) -> APIRouter:
    """Give the route."""
    router = APIRouter(prefix="/api/v1", tags=["exports"], dependencies=[needs(Role.VIEWER)])
    bodies = {form.media_type.partition(";")[0]: {"schema": _SCHEMAS[name]} for name, form in FORMS.items()}

    @router.get(
        "/export",
        summary="Past runs as a file: CSV, JSON, JSON lines or Parquet, the first begun first",
        response_class=StreamingResponse,
        responses={200: {"content": bodies, "description": "The file, however long: it is written while it is sent."}},
    )
    def export_runs(request: Request, query: Annotated[ExportQuery, Query()]) -> StreamingResponse:
        form = form_of(query.format)
        found = rows_of(parts.database, query.which(), query.metric)
        # The log has who took the history home, though nothing was changed.
        audit(request, "history.export", query.metric or "runs", **query.said())
        headers = {"Content-Disposition": f'attachment; filename="scriptfleet-runs.{query.format}"'}
        return SeatedStream(lambda: _begun(form, found), parts.exporters, form.media_type, headers)

    return router


def _begun(form: Form, found: Export) -> Pieces:
    """Write the first piece at once: what is wrong with the database is told before the answer begins."""
    pieces = form.pieces(found)
    # Lines of no runs are no piece at all.
    return _from(next(pieces, b""), pieces)


def _from(first: bytes, rest: Pieces) -> Pieces:
    yield first
    yield from rest
