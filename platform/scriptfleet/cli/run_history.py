"""Keeps what ``run`` did in its history, told as a broker and a worker would tell it: the same facts, the same rows."""

import base64
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from scriptfleet.cli.run_wishes import HistoryPlace
from scriptfleet.cli.tool_log import log
from scriptfleet.cli.verbs import missing_extra
from scriptfleet.config import Settings
from scriptfleet.domain.event import Event, EventType
from scriptfleet.domain.job import JobSpec
from scriptfleet.domain.run import RunRecord
from scriptfleet.domain.state import State
from scriptfleet.errors import ScriptfleetError
from scriptfleet.execution.workspace import Workspace
from scriptfleet.storage.event_rows import CHUNK_MAX_BYTES
from scriptfleet.storage.local_history import LocalHistory
from scriptfleet.storage.record_row import STREAMS

_DAY_SECONDS = 86_400


class RunHistory:
    """One job's part of the history. A history that cannot be written is told, and never changes a run's outcome."""

    def __init__(self, place: HistoryPlace, settings: Settings, retention_days: int | None) -> None:
        self._place, self._days = place, retention_days
        self._prefixes = settings.secret_prefixes
        self._facts: list[Event] = []
        self._revision = 0

    def submitted(self, job_id: str, spec: JobSpec, at: float) -> None:
        """Note the job and when it was asked for, seconds since the epoch; it is written with its first attempt."""
        asked = {"spec": spec.to_json(), "state": str(State.QUEUED)}
        self._facts = [self._fact(EventType.SUBMITTED, job_id, asked, at)]

    def keep(self, record: RunRecord, workspace: Workspace, claimed_at: float, state: State) -> None:
        """Write an attempt that has ended; ``state`` is the job's now, ``claimed_at`` seconds since the epoch."""
        job_id, run_id = record.job_id, record.run_id
        claim = {"run_id": run_id, "attempt": record.attempt, "worker": record.worker}
        claimed = self._fact(EventType.CLAIMED, job_id, claim, claimed_at)
        end = {"run_id": run_id, "record": record.to_dict(), "state": str(state), "stale": False}
        finished = self._fact(EventType.FINISHED, job_id, end)
        output = [self._fact(EventType.OUTPUT, job_id, piece) for piece in _output(run_id, workspace)]
        self._write([*self._facts, claimed, *output, finished])

    def cancelled(self, job_id: str, reason: str) -> None:
        """Write that the job ended between two attempts."""
        moved = self._fact(EventType.MOVED, job_id, {"state": str(State.CANCELLED), "reason": reason})
        self._write([*self._facts, moved])

    def _fact(self, kind: EventType, job_id: str, data: dict[str, Any], at: float | None = None) -> Event:
        if kind is not EventType.OUTPUT:
            self._revision += 1
        at_ms = round((time.time() if at is None else at) * 1000)
        revision = 0 if kind is EventType.OUTPUT else self._revision
        return Event(f"local-{self._revision}", kind, job_id, revision, at_ms, data)

    def _write(self, events: list[Event]) -> None:
        try:
            self._add(events)
        except ModuleNotFoundError as fault:
            if (missing := missing_extra(fault)) is None:
                raise
            log.warning("history not kept: %s", missing)
        except (ScriptfleetError, OSError) as fault:
            log.warning("history not kept: %s", fault)

    def _add(self, events: list[Event]) -> None:
        before = None if self._days is None else time.time() - self._days * _DAY_SECONDS
        if self._place.path is not None:
            file = LocalHistory(self._place.path, self._prefixes)
            if file.add(events):
                if before is not None:
                    file.forget(before)
                return
        # Half a second to load, so only where a file of an older version or another database needs it.
        from scriptfleet.cli import look_back  # noqa: PLC0415

        look_back.add(self._place, events, self._prefixes, before)


def _output(run_id: str, workspace: Workspace) -> Iterator[dict[str, Any]]:
    for stream in STREAMS:
        for number, piece in enumerate(_pieces(workspace.folder / stream)):
            body = base64.b64encode(zlib.compress(piece)).decode()
            yield {"run_id": run_id, "stream": stream, "number": number, "body": body}


def _pieces(path: Path) -> Iterator[bytes]:
    if not path.exists():
        # A run that never started has written nothing.
        return
    with path.open("rb") as kept:
        while piece := kept.read(CHUNK_MAX_BYTES):
            yield piece
