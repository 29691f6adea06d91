"""What a request changed, for the audit log. Each unsafe request gets an entry, whether its route says more or not."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from fastapi import Request
from starlette.types import Scope

from scriptfleet.domain.role import Actor
from scriptfleet.storage.audit_store import AuditEntry

#: Writes entries; raises StoreUnreachable.
Keep = Callable[..., None]

_CHANGED_LESS_THAN = 400


@dataclass(frozen=True, slots=True)
class Change:
    """What a route says that it changed."""

    action: str
    target: str
    detail: dict[str, Any] = field(default_factory=dict)
    result: str | None = None


def audit(request: Request, action: str, target: str, result: str | None = None, **detail: Any) -> None:
    """Say what this request changes, such as ``audit(request, "job.cancel", job_id, reason=reason)``.

    Said once for each thing that it changes, before or after; who, when and from where is added, and ``result`` is
    what the answer's status says unless it is given. Nothing secret goes into ``detail``.
    """
    request.state.changes.append(Change(action, target, detail, result))


def entries_of(scope: Scope, status: int) -> Iterator[AuditEntry]:
    """Give the entries of a request that is answered with that status."""
    actor, at = scope["state"]["actor"], time.time()
    for change in scope["state"]["changes"] or [_unsaid(scope)]:
        yield AuditEntry(
            at=at,
            actor=actor.name if isinstance(actor, Actor) else "nobody",
            role=str(actor.role) if isinstance(actor, Actor) else None,
            address=address_of(scope),
            action=change.action,
            target=change.target,
            result=change.result or _result_of(status),
            detail=change.detail or None,
        )


def address_of(scope: Scope) -> str | None:
    """Give where a request came from; a proxy's client where the proxy is trusted."""
    client = scope.get("client")
    return str(client[0]) if client else None


def _unsaid(scope: Scope) -> Change:
    # Of a request that no route took, or whose route says nothing.
    template = getattr(scope.get("route"), "path", None)
    return Change(f"{scope['method']} {template or 'no route'}", str(scope["path"]))


def _result_of(status: int) -> str:
    return "ok" if status < _CHANGED_LESS_THAN else f"{status} {HTTPStatus(status).phrase}"
