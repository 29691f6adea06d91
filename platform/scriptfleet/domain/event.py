"""Events: the facts that go from broker and workers to the store.

An event names its job and that job's revision, a number the broker raises with every change of the job; whoever
applies events keeps the highest revision it has seen, so that repeats and late arrivals change nothing.
"""

import json
from enum import StrEnum
from typing import Any

from scriptfleet.domain.value import value

EVENT_VERSION = 1
#: Before the name of a machine's user, who changed something by a command; no token's name begins so.
SHELL = "cli:"


class EventType(StrEnum):
    """What happened. ``data`` of each is listed here."""

    #: spec: the spec's own text; sig: its signature; state: queued or delayed; due: when, in ms, where it is delayed.
    SUBMITTED = "submitted"
    #: run_id, attempt, worker.
    CLAIMED = "claimed"
    #: run_id, record: a RunRecord; state: of the job now; stale: whether another claim owns the job by now;
    #: due: when its next attempt is, in ms, where the state is delayed.
    FINISHED = "finished"
    #: run_id, stream (stdout or stderr), number (from 0), body: base64 of zlib, sig: its signature, or empty.
    OUTPUT = "output"
    #: state: the job moved without a run of its own ending: cancelled, expired, delayed, queued, lost;
    #: run_id where a run was lost by it.
    MOVED = "moved"
    #: id, actor, address, action, target, detail, sig: what somebody changed by a command; it is of no job, so its job
    #: is empty. For the audit log.
    AUDITED = "audited"


@value(frozen=True, slots=True)
class Event:
    """One fact, as read from the stream."""

    #: The stream's own id of it.
    entry_id: str
    type: EventType
    job_id: str
    #: The job's revision after it.
    revision: int
    #: Server clock, milliseconds since the epoch.
    at_ms: int
    data: dict[str, Any]


class StreamEvent(Event):
    """One fact as it stands in the stream: what it says is read from its text when somebody asks for it."""

    __slots__ = ("_read", "body", "told")
    # One is made of each fact: as quick as can be, which takes both.
    __setattr__ = object.__setattr__
    __delattr__ = object.__delattr__

    def __init__(self, entry_id: str, type: EventType, job_id: str, revision: int, at_ms: int, body: str) -> None:  # noqa: A002
        self.entry_id, self.type, self.job_id = entry_id, type, job_id  # type: ignore[misc]
        self.revision, self.at_ms = revision, at_ms  # type: ignore[misc]
        #: The text of ``data``, an object in JSON.
        self.body = body
        #: What a quicker reader than json made of the text, for whoever gave that reader; None where it made nothing.
        self.told: object = None
        self._read: dict[str, Any] | None = None

    @property
    def data(self) -> dict[str, Any]:
        """What it says. Raises ValueError for what is no JSON, TypeError for what is no object."""
        if self._read is None:
            found = json.loads(self.body)
            if not isinstance(found, dict):
                raise TypeError("data is not an object")
            self._read = found
        return self._read
