"""REST of artifacts: files that runs kept. Whatever they are, no browser shows them: they are downloads."""

import re
from urllib.parse import quote

from fastapi import APIRouter, Response
from pydantic import BaseModel

from scriptfleet.domain.role import Role
from scriptfleet.domain.run import Artifact
from scriptfleet.errors import BlobMissing
from scriptfleet.queues.connection import told_plainly
from scriptfleet.results.access.needs import needs
from scriptfleet.results.rest.models import ArtifactView
from scriptfleet.results.rest.parts import RestParts
from scriptfleet.results.rest.refusals import ArtifactGone, ArtifactNotFound

_BYTES = "application/octet-stream"
#: What a header may hold in quotes and every system takes in a file's name.
_PLAIN = re.compile(r"[^A-Za-z0-9._-]")


class ArtifactList(BaseModel):
    """Files that a run kept."""

    run_id: str
    artifacts: list[ArtifactView]


def artifact_routes(parts: RestParts) -> APIRouter:
    """Give the routes."""
    router = APIRouter(prefix="/api/v1", tags=["artifacts"], dependencies=[needs(Role.VIEWER)])

    @router.get("/runs/{run_id}/artifacts", summary="The files that a run kept")
    def list_artifacts(run_id: str) -> ArtifactList:
        kept = parts.runs.get(run_id).artifacts or []
        return ArtifactList(run_id=run_id, artifacts=[ArtifactView.model_validate(one) for one in kept])

    @router.get(
        "/runs/{run_id}/artifacts/{name:path}",
        summary="The bytes of a file, by its name or its SHA-256",
        response_class=Response,
        responses={200: {"content": {_BYTES: {"schema": {"type": "string", "format": "binary"}}}}},
    )
    def get_artifact(run_id: str, name: str) -> Response:
        kept = _kept(parts, run_id, name)
        headers = {"Content-Disposition": disposition(kept.name), "ETag": f'"{kept.sha256}"'}
        return Response(_bytes(parts, kept), headers=headers, media_type=_BYTES)

    return router


def disposition(name: str) -> str:
    """Give the header that makes a browser save a file, under the last part of its name."""
    last = name.rstrip("/").rpartition("/")[2].lstrip(".") or "artifact"
    return (
        f"attachment; filename=\"{_PLAIN.sub('_', last)}\"; filename*=UTF-8''{quote(last, safe='', errors='replace')}"
    )


def _kept(parts: RestParts, run_id: str, name: str) -> Artifact:
    for one in parts.runs.get(run_id).artifacts or []:
        if name in {one.name, one.sha256}:
            return one
    raise ArtifactNotFound(run_id, name)


def _bytes(parts: RestParts, kept: Artifact) -> bytes:
    broker = parts.client.broker
    try:
        with told_plainly(broker.url):
            return broker.blobs.get(kept.sha256, kept.size_bytes)
    except BlobMissing as fault:
        raise ArtifactGone(kept.name, kept.sha256) from fault
