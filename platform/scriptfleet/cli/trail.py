"""What a verb changed, for the audit log: by the broker where the verb goes there, else in the database itself."""

import time
from typing import TYPE_CHECKING, Any

from scriptfleet.cli.screen import note
from scriptfleet.cli.submitter import submitter
from scriptfleet.domain.event import SHELL
from scriptfleet.errors import ScriptfleetError
from scriptfleet.queues.audit_trail import tell_change

if TYPE_CHECKING:
    from scriptfleet.queues.client import Broker
    from scriptfleet.storage.engine import Database


def tell(broker: "Broker", action: str, target: str, **detail: Any) -> None:
    """Tell the service, by the broker, what was changed; what cannot be told is said here, for the change is made."""
    actor, host = _who()
    try:
        tell_change(broker, actor, host, action, target, _said(detail))
    except ScriptfleetError as fault:
        note(f"scriptfleet: {action} {target} is not in the audit log: {fault}")


def keep(database: "Database", action: str, target: str, **detail: Any) -> None:
    """Keep in the database what was changed there. Raises StoreUnreachable."""
    # What only asks the broker does not load the database's library.
    from scriptfleet.storage.audit_store import AuditEntry, AuditStore  # noqa: PLC0415

    actor, host = _who()
    AuditStore(database).add(AuditEntry(time.time(), actor, None, host, action, target, "ok", _said(detail)))


def _who() -> tuple[str, str]:
    user, _, host = submitter().partition("@")
    return f"{SHELL}{user}", host


def _said(detail: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in detail.items() if value not in (None, [], {}, ())}
