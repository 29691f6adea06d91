"""What most events say, read and checked in one pass over their text by a compiled reader.

It takes less than event_said.py, never more, and makes the same of it: types, bounds and needed names are said in the
classes below, and what does not fit - a number that is not finite, a text with a character that no column takes, a
longer list than is kept - is left to event_said.py, which keeps what can be kept of it or says what is wrong.
"""

import json
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Raw, Struct

from scriptfleet.domain.event import EventType
from scriptfleet.domain.job import NORMAL_PRIORITY
from scriptfleet.domain.process_tree import LONGEST_COMMAND, MOST_PROCESSES
from scriptfleet.domain.run import RECORD_VERSION
from scriptfleet.domain.state import State
from scriptfleet.domain.usage import MEASURES
from scriptfleet.storage import curve_bytes, storable, tree_bytes
from scriptfleet.storage.event_said import ClaimSaid, EndSaid, SubmitSaid
from scriptfleet.storage.record_row import moment_of
from scriptfleet.storage.row import MEASURE_TYPES
from scriptfleet.storage.run_row import RecordSaid

_Int32 = Annotated[int, Meta(ge=-storable.LARGEST_SMALL_INTEGER, le=storable.LARGEST_SMALL_INTEGER)]
_Int64 = Annotated[int, Meta(ge=-storable.LARGEST_INTEGER, le=storable.LARGEST_INTEGER)]
_MomentMs = Annotated[int, Meta(ge=0, le=storable.LAST_MOMENT_MS)]
_Needed = Annotated[str, Meta(min_length=1)]
_NULL: Final = Raw(b"null")
#: In every text that says NUL, and in every one that spells an ASCII letter as an escape.
_NUL, _ESCAPED = "\\u0000", "\\u00"
_CUSTOM: Final = "custom."


class _Spec(Struct, gc=False):
    kind: _Needed
    name: _Needed
    queue: _Needed = "default"
    priority: _Int32 = NORMAL_PRIORITY
    group: str | None = None
    labels: Raw = _NULL
    schedule: str | None = None
    submitted_by: str | None = None


class _Submitted(Struct, gc=False):
    spec: _Needed
    state: State
    sig: str | None = None
    due: _MomentMs | None = None


class _Claimed(Struct, gc=False):
    run_id: _Needed
    attempt: _Int32
    worker: str | None


class _Process(Struct, gc=False):
    pid: _Int64
    parent_pid: _Int64
    command: Annotated[str, Meta(min_length=1, max_length=LONGEST_COMMAND)]
    cpu_seconds: float
    memory_mb: float
    age_seconds: float


class _Tree(Struct, gc=False):
    seconds: float
    count: _Int32
    processes: Annotated[list[_Process], Meta(max_length=MOST_PROCESSES)]


class _Stream(Struct, gc=False):
    text: str | None
    cut_bytes: _Int64 = 0


class _Artifact(Struct, gc=False):
    name: _Needed
    size_bytes: Annotated[int, Meta(ge=0, le=storable.LARGEST_INTEGER)]
    sha256: Annotated[str, Meta(pattern=rf"\A{storable.SHA256}\Z")]


class _Record(Struct, gc=False):
    run_id: _Needed
    job_id: str
    attempt: _Int32
    worker: str | None
    host: str | None
    outcome: State
    usage: Raw
    stdout: _Stream
    stderr: _Stream
    v: Annotated[int, Meta(le=RECORD_VERSION)] = RECORD_VERSION
    queue: str | None = None
    output_data: Raw = _NULL
    artifacts: list[_Artifact] = []
    curve: list[tuple[float, float, float, _Int32]] = []
    curve_io: list[tuple[_Int64 | None, _Int64 | None]] | None = None
    process_tree: _Tree | None = None


class _Finished(Struct, gc=False):
    record: _Record
    state: State
    stale: bool
    due: _MomentMs | None = None


_PLAIN: Final[dict[type, Any]] = {str: str, bool: bool, int: _Int64, float: float}
#: Measures in the order of MEASURES.
_Usage = msgspec.defstruct("_Usage", [(name, _PLAIN[MEASURE_TYPES[name]] | None, None) for name in MEASURES], gc=False)

_read_submitted = msgspec.json.Decoder(_Submitted).decode
_read_spec = msgspec.json.Decoder(_Spec).decode
_read_claimed = msgspec.json.Decoder(_Claimed).decode
_read_finished = msgspec.json.Decoder(_Finished).decode
_read_usage: Callable[[Raw], Any] = msgspec.json.Decoder(_Usage).decode
_read_flat = msgspec.json.Decoder(dict[str, Any]).decode
_as_json: Final = msgspec.json.Encoder().encode


def quick_said(kind: EventType, body: str) -> SubmitSaid | ClaimSaid | EndSaid | None:
    """Give what an event of this kind says whose data is this text; None for what is to be read with care."""
    read = _READERS.get(kind)
    if read is None or _NUL in body:
        return None
    try:
        return read(body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


def _submit(body: str) -> SubmitSaid:
    said = _read_submitted(body)
    if _NUL in said.spec:
        # A backslash may itself have been spelled as an escape.
        raise ValueError("the spec may say NUL")
    spec = _read_spec(said.spec)
    return SubmitSaid(
        *(said.state, _due_at(said.due, said.state), spec.kind, spec.name, spec.queue, spec.priority, spec.group),
        *(_json_value(spec.labels), spec.schedule, spec.submitted_by, said.spec, said.sig),
    )


def _claim(body: str) -> ClaimSaid:
    said = _read_claimed(body)
    return ClaimSaid(said.run_id, said.attempt, said.worker)


def _end(body: str) -> EndSaid:
    said = _read_finished(body)
    may_be_custom = _CUSTOM in body or _ESCAPED in body
    return EndSaid(said.state, _due_at(said.due, said.state), said.stale, _record(said.record, may_be_custom))


def _record(said: _Record, may_be_custom: bool) -> RecordSaid:
    usage = _read_usage(said.usage)
    samples = _samples(said)
    tree = tree_bytes.pack_text(_as_json(said.process_tree)) if samples and said.process_tree else None
    return RecordSaid(
        said.run_id,
        said.attempt,
        said.worker,
        said.host,
        said.queue,
        said.outcome,
        moment_of(usage.start_time),
        msgspec.structs.astuple(usage),
        storable.custom(_read_flat(said.usage)) if may_be_custom else None,
        _json_value(said.output_data),
        said.stdout.cut_bytes,
        said.stderr.cut_bytes,
        [msgspec.structs.asdict(one) for one in said.artifacts],
        curve_bytes.pack(samples) if samples else None,
        tree,
        _tails(said),
    )


def _samples(said: _Record) -> Sequence[tuple[float | None, ...]]:
    if said.curve_io is None:
        return [(*point, None, None) for point in said.curve]
    return [(*point, *bytes_of) for point, bytes_of in zip(said.curve, said.curve_io, strict=True)]


def _tails(said: _Record) -> dict[str, str]:
    tails = {}
    if said.stdout.text:
        tails["stdout"] = said.stdout.text
    if said.stderr.text:
        tails["stderr"] = said.stderr.text
    return tails


def _json_value(text: Raw) -> object:
    found = bytes(text)
    return None if found == b"null" else storable.json_value(json.loads(found))


def _due_at(due: int | None, state: State) -> float | None:
    return None if due is None or state is not State.DELAYED else due / 1000


_READERS: Final[dict[EventType, Callable[[str], SubmitSaid | ClaimSaid | EndSaid]]] = {
    EventType.SUBMITTED: _submit,
    EventType.CLAIMED: _claim,
    EventType.FINISHED: _end,
}
