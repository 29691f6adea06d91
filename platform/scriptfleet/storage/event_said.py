"""What an event says, checked: read from its data with care, whatever it may be. quick_said.py reads most of them.

Pure. What is malformed raises one of MALFORMED.
"""

import json
import struct
import zlib
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from scriptfleet.domain.job import NORMAL_PRIORITY
from scriptfleet.domain.state import State
from scriptfleet.errors import InvalidValue
from scriptfleet.storage import storable
from scriptfleet.storage.record_row import read_record
from scriptfleet.storage.run_row import RecordSaid

#: What a malformed event makes the code that reads it raise.
MALFORMED: Final = (
    *(KeyError, TypeError, ValueError, AttributeError, RecursionError, OverflowError),
    *(struct.error, zlib.error),
)


class SubmitSaid(NamedTuple):
    """What a submitted event says."""

    state: State
    #: Seconds since the epoch; None where it is not delayed, or an event of an older version does not say it.
    due_at: float | None
    kind: str
    name: str
    queue: str
    priority: int
    group_name: str | None
    labels: object
    schedule: str | None
    submitted_by: str | None
    #: The spec's own text.
    spec: str
    signature: str | None


class ClaimSaid(NamedTuple):
    """What a claimed event says."""

    run_id: str
    attempt: int
    worker: str | None


class EndSaid(NamedTuple):
    """What a finished event says."""

    state: State
    due_at: float | None
    #: Whether another claim owned the job by then.
    is_stale: bool
    record: RecordSaid


def submit_said(data: Mapping[str, Any]) -> SubmitSaid:
    """Read the data of a submitted event."""
    text, state = storable.needed_text("spec", data["spec"]), State(data["state"])
    # Read with leave: a spec of a newer version is stored and shown, though this one could not run it.
    spec = json.loads(text)
    return SubmitSaid(
        state=state,
        due_at=due_of(data, state),
        kind=storable.needed_text("kind", spec["kind"]),
        name=storable.needed_text("name", spec["name"]),
        queue=storable.needed_text("queue", spec.get("queue", "default")),
        priority=storable.small_integer("priority", spec.get("priority", NORMAL_PRIORITY)),
        group_name=storable.text(spec.get("group")),
        labels=storable.json_value(spec.get("labels")),
        schedule=storable.text(spec.get("schedule")),
        submitted_by=storable.text(spec.get("submitted_by")),
        spec=text,
        signature=storable.text(data.get("sig")),
    )


def claim_said(data: Mapping[str, Any]) -> ClaimSaid:
    """Read the data of a claimed event."""
    run_id, attempt = storable.needed_text("run_id", data["run_id"]), data["attempt"]
    return ClaimSaid(run_id, storable.small_integer("attempt", attempt), storable.text(data["worker"]))


def end_said(data: Mapping[str, Any]) -> EndSaid:
    """Read the data of a finished event."""
    state, is_stale = State(data["state"]), data["stale"]
    if not isinstance(is_stale, bool):
        raise InvalidValue("stale", is_stale, "true or false")
    return EndSaid(state, due_of(data, state), is_stale, read_record(data["record"]))


def due_of(data: Mapping[str, Any], state: State) -> float | None:
    """Give when a delayed job is due, seconds since the epoch."""
    due = data.get("due")
    return None if due is None or state is not State.DELAYED else storable.moment_ms("due", due) / 1000
