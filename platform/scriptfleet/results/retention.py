"""Applies the retention policies of the database, each once a day, whichever service comes first.

It also ends old entries of the audit log.
"""

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from scriptfleet.errors import InvalidValue, StoreUnreachable
from scriptfleet.storage.audit_days import audit_archive, forget_before, kept_days, oldest_kept
from scriptfleet.storage.engine import Database
from scriptfleet.storage.moments import iso
from scriptfleet.storage.retention_policy import Policy, PolicyStore, apply

_log = logging.getLogger(__name__)

_EVERY_SECONDS: Final = 60.0


class Retention:
    """The thread that applies what is due.

    ``audit_days`` 0 keeps the audit log for ever; what goes of it is archived in the folder ``audit_archive``.
    """

    def __init__(
        self,
        database: Database,
        audit_days: int = 0,
        audit_archive: Path | None = None,
        every_seconds: float = _EVERY_SECONDS,
    ) -> None:
        self._database, self._policies, self._every = database, PolicyStore(database), every_seconds
        self._audit_days, self._audit_archive = audit_days, audit_archive
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="retention", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self, within_seconds: float = 30.0) -> None:
        """End, after the jobs that are deleted at this moment; the rest goes the next time."""
        self._stopping.set()
        self._thread.join(within_seconds)

    def _run(self) -> None:
        while not self._stopping.wait(self._every):
            self._try(self.expire_audit)
            self._try(self.look)

    def _try(self, step: Callable[[float], object]) -> None:
        try:
            step(time.time())
        except StoreUnreachable as fault:
            _log.warning("retention_waits reason=%s", fault)
        except Exception:  # the edge of this thread: nothing above would tell
            _log.exception("retention_failed")

    def expire_audit(self, now: float) -> int:
        """Delete entries of the audit log that are older than is kept, and give how many went.

        Where they cannot be archived, they stay, and the log says why each time.
        """
        before = oldest_kept(kept_days(self._audit_days, self._policies.all()), now)
        if not before:
            return 0
        try:
            archive = None if self._audit_archive is None else audit_archive(self._audit_archive, before, now)
            gone = forget_before(self._database, before, self._stopping.is_set, archive)
        except (InvalidValue, OSError) as fault:
            _log.error("audit_not_archived folder=%s reason=%s: what is not archived stays", self._audit_archive, fault)
            return 0
        if gone:
            where = "" if archive is None else f" archive={archive.path}"
            _log.info("audit_expired entries=%s before=%s%s", gone, iso(before), where)
        return gone

    def look(self, now: float) -> list[str]:
        """Apply the policies that are due, and give the names of those that this service has applied."""
        due = [policy for policy in self._policies.all() if policy.next_at <= now]
        return [policy.name for policy in due if self._policies.take_due(policy, now) and self._apply(policy, now)]

    def _apply(self, policy: Policy, now: float) -> bool:
        try:
            result = apply(self._database, policy, now, is_stopping=self._stopping.is_set)
        except InvalidValue as fault:
            # Such as an archive folder that is not there on this machine.
            _log.error("retention_refused policy=%s reason=%s", policy.name, fault)
            self._policies.note(policy.name, {"error": str(fault)}, now)
            return False
        _log.info("retention_applied policy=%s jobs=%s runs=%s", policy.name, result["jobs"], result["runs"])
        return True
