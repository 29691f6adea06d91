"""From events to rows: what one batch of facts says about jobs, runs and outputs, folded so that order is no matter.

Pure. Each part of a row has one rule of who wins: the event of the highest revision, the record over the claim, the
earliest moment. The same rules stand in SQL in ingest_store.py, where a batch meets the rows that are there.
"""

import base64
import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from scriptfleet.domain.event import SHELL, Event, EventType, StreamEvent
from scriptfleet.domain.masking import may_hold_secret, shown_spec
from scriptfleet.domain.state import State
from scriptfleet.domain.value import value
from scriptfleet.errors import InvalidValue
from scriptfleet.storage import storable
from scriptfleet.storage.event_said import (
    MALFORMED,
    ClaimSaid,
    EndSaid,
    SubmitSaid,
    claim_said,
    due_of,
    end_said,
    submit_said,
)
from scriptfleet.storage.record_row import STREAMS
from scriptfleet.storage.row import Row
from scriptfleet.storage.run_row import FinishedRow

CHUNK_MAX_BYTES = 256 * 1024
#: Of what most runs have, rows are tuples: the columns in their order there.
CURVE_COLUMNS: Final = ("run_id", "packed", "process_tree")
TAIL_COLUMNS: Final = ("run_id", "stream", "content")

#: Of what a command says it changed, as in audit_store.py.
_LONGEST_SAID = 1000


class JobPatch:
    """What a batch says of one job; the columns of its row, in their order there."""

    def __init__(self, job_id: str, submitted_at: float) -> None:
        self.job_id, self.submitted_at = job_id, submitted_at
        self.kind: str | None = None
        self.name: str | None = None
        self.queue: str | None = None
        self.priority: int | None = None
        self.group_name: str | None = None
        self.labels: object = None
        self.schedule: str | None = None
        self.submitted_by: str | None = None
        self.spec: str | None = None
        self.signature: str | None = None
        self.is_spec_whole: bool | None = None
        self.state: str = State.QUEUED
        self.revision: int = 0
        self.finished_at: float | None = None
        self.reason: str | None = None
        self.due_at: float | None = None
        self.attempt: int = 0
        self.last_run_id: str | None = None
        self.run_revision: int = 0
        self.started_at: float | None = None

    def heard_at(self, moment: float) -> None:
        """Take a moment as the job's beginning, while its submit is not known."""
        if self.spec is None:
            self.submitted_at = min(self.submitted_at, moment)

    def move(self, event: Event, state: State, due_at: float | None = None, reason: str | None = None) -> None:
        """Take the state of an event, unless a newer one is known."""
        if event.revision > self.revision:
            self.state, self.revision, self.reason = str(state), event.revision, reason
            self.finished_at = _seconds(event) if state.is_final else None
            self.due_at = due_at

    def take_run(self, event: Event, run_id: str, attempt: int) -> None:
        """Take a run as the last one, unless a newer one is known."""
        if event.revision > self.run_revision:
            self.last_run_id, self.attempt, self.run_revision = run_id, attempt, event.revision


@value(frozen=True, slots=True)
class Ended:
    """The end of a job that is recorded already: it stands, whatever is told of the job later."""

    revision: int
    #: The run that ended it.
    run_id: str | None


class Batch:
    """The rows of a batch, each once, by their keys."""

    def __init__(self, secret_prefixes: Sequence[str], ended: dict[str, Ended]) -> None:
        self.secret_prefixes = secret_prefixes
        #: Jobs whose end is known. A server that lost its last second has them run once more, and tells of that.
        self.ended = ended
        self.jobs: dict[str, JobPatch] = {}
        self.claimed: dict[str, Row] = {}
        self.finished: dict[str, FinishedRow] = {}
        self.lost: dict[str, Row] = {}
        self.curves: dict[str, tuple[str, bytes, bytes | None]] = {}
        self.tails: dict[tuple[str, str], tuple[str, str, str]] = {}
        self.outputs: dict[tuple[str, str, int], Row] = {}
        self.labels: dict[tuple[str, str], Row] = {}
        self.audit: dict[str, Row] = {}
        #: The events behind ``finished``.
        self.ends: dict[str, Event] = {}

    def job(self, event: Event) -> JobPatch:
        """Give the patch of the event's job."""
        moment, patch = _seconds(event), self.jobs.get(event.job_id)
        if patch is None:
            job_id = storable.needed_text("job_id", event.job_id)
            patch = self.jobs.setdefault(job_id, JobPatch(job_id, moment))
        patch.heard_at(moment)
        return patch


def to_rows(
    events: Sequence[Event], secret_prefixes: Sequence[str] = (), ended: Mapping[str, Ended] | None = None
) -> Batch:
    """Fold events into rows; raises InvalidValue naming the first event that is malformed.

    ``secret_prefixes`` mark further variables of specs that are not kept in clear (see domain/masking.py). ``ended``
    are the jobs whose end is recorded, by id.
    """
    batch = Batch(secret_prefixes, dict(ended or {}))
    for event in events:
        try:
            storable.integer("revision", event.revision)
            storable.moment_ms("at", event.at_ms)
            read, take = _TAKERS[event.type]
            said = event.told if isinstance(event, StreamEvent) else None
            take(batch, event, read(event.data) if said is None else said)
        except MALFORMED as fault:
            said = f"{type(fault).__name__}: {fault}"
            raise InvalidValue(f"event {event.entry_id}", said, f"a well-formed {event.type} event") from fault
    return batch


def _submitted(batch: Batch, event: Event, said: SubmitSaid) -> None:
    patch = batch.job(event)
    patch.kind, patch.name, patch.queue, patch.priority = said.kind, said.name, said.queue, said.priority
    patch.group_name, patch.labels, patch.schedule = said.group_name, said.labels, said.schedule
    patch.submitted_by, patch.signature = said.submitted_by, said.signature
    patch.spec, patch.submitted_at = _kept(said.spec, batch.secret_prefixes), _seconds(event)
    patch.is_spec_whole = patch.spec == said.spec
    patch.move(event, said.state, said.due_at)
    _keep_labels(batch, patch)


def _keep_labels(batch: Batch, patch: JobPatch) -> None:
    if isinstance(patch.labels, dict):
        for name, value in patch.labels.items():
            batch.labels[patch.job_id, name] = {"job_id": patch.job_id, "name": name, "value": str(value)}


def _kept(text: str, secret_prefixes: Sequence[str]) -> str:
    """Give the spec's text as it is kept: the very one that was signed, unless a secret seems to be in it."""
    if not may_hold_secret(text, secret_prefixes):
        return text
    spec = json.loads(text)
    shown = shown_spec(spec, secret_prefixes)
    if shown == spec:
        return text
    return storable.needed_text("spec", json.dumps(shown, sort_keys=True, ensure_ascii=False, separators=(",", ":")))


def _claimed(batch: Batch, event: Event, said: ClaimSaid) -> None:
    patch, moment = batch.job(event), _seconds(event)
    if patch.job_id not in batch.ended:
        patch.move(event, State.RUNNING)
        patch.take_run(event, said.run_id, said.attempt)
    patch.started_at = moment if patch.started_at is None else min(patch.started_at, moment)
    claim = {"attempt": said.attempt, "worker": said.worker, "claimed_at": moment, "began_at": moment}
    batch.claimed[said.run_id] = {**_run(said.run_id, patch), **claim}


def _finished(batch: Batch, event: Event, said: EndSaid) -> None:
    record, state, is_stale = said.record, said.state, said.is_stale
    run_id, known = record.run_id, batch.ended.get(event.job_id)
    if not is_stale and known and state.is_final and known.run_id != run_id:
        is_stale = True
    patch = batch.job(event)
    if not is_stale and (state.is_final or not known):
        patch.move(event, state, said.due_at)
        patch.take_run(event, run_id, record.attempt)
        if state.is_final:
            batch.ended[patch.job_id] = Ended(event.revision, run_id)
    if run_id in batch.finished and (is_stale or not batch.finished[run_id].is_stale):
        return
    batch.finished[run_id] = FinishedRow(record, patch.job_id, is_stale, _seconds(event))
    batch.ends[run_id] = event
    for stream, content in record.tails.items():
        batch.tails[run_id, stream] = (run_id, stream, content)
    if record.curve:
        batch.curves[run_id] = (run_id, record.curve, record.process_tree)


def _output(batch: Batch, _event: Event, data: Mapping[str, Any]) -> None:
    run_id = storable.needed_text("run_id", data["run_id"])
    stream, number = data["stream"], storable.small_integer("number", data["number"])
    if stream not in STREAMS:
        raise InvalidValue("stream", stream, "stdout or stderr")
    body = base64.b64decode(data["body"], validate=True)
    size = _size_of(body)
    key = (run_id, stream, number)
    batch.outputs[key] = {"run_id": run_id, "stream": stream, "number": number, "body": body, "size_bytes": size}


def _size_of(body: bytes) -> int:
    opened = zlib.decompressobj()
    # Bounded, so that a few bytes can't unfold into gigabytes.
    size = len(opened.decompress(body, CHUNK_MAX_BYTES + 1))
    if size > CHUNK_MAX_BYTES or not opened.eof:
        raise InvalidValue("body", f"{len(body)} bytes", f"a whole zlib stream of at most {CHUNK_MAX_BYTES} bytes")
    return size


def _moved(batch: Batch, event: Event, data: Mapping[str, Any]) -> None:
    state, reason = State(data["state"]), storable.text(data.get("reason"))
    patch = batch.job(event)
    if not _is_after_its_end(batch, event, state):
        batch.ended.pop(patch.job_id, None)
        patch.move(event, state, due_of(data, state), reason)
    if data.get("run_id"):
        run_id = storable.needed_text("run_id", data["run_id"])
        batch.lost[run_id] = {
            **_run(run_id, patch),
            "outcome": str(State.LOST),
            "finished_at": _seconds(event),
            "began_at": _seconds(event),
            "success": False,
            "error_type": "WorkerLost",
            "error_message": reason,
        }


def _is_after_its_end(batch: Batch, event: Event, state: State) -> bool:
    """Tell whether the job's end stands against a move: only one that is newer and no rescue opens it again."""
    known = batch.ended.get(event.job_id)
    if known is None:
        return False
    return state.is_final or event.revision <= known.revision or bool(event.data.get("run_id"))


def _audited(batch: Batch, event: Event, said: Mapping[str, Any]) -> None:
    texts = {name: storable.needed_text(name, said[name])[:_LONGEST_SAID] for name in ("actor", "action", "target")}
    if not texts["actor"].startswith(SHELL):
        # Else whoever can write to the broker could say that it was the holder of a token.
        raise ValueError(f"actor {texts['actor']!r} is none of a command")
    entry_id, address = storable.needed_text("id", said["id"]), storable.text(said.get("address"))
    batch.audit[entry_id] = {
        **texts,
        "entry_id": entry_id,
        "at": _seconds(event),
        "role": None,
        "address": None if address is None else address[:_LONGEST_SAID],
        "result": "ok",
        "detail": storable.json_value(said.get("detail")),
    }


def _as_it_is(data: Mapping[str, Any]) -> Mapping[str, Any]:
    return data


#: How the data of a type of event is read, and how what it says is taken into a batch.
_TAKERS: Final[dict[EventType, tuple[Callable[[Mapping[str, Any]], Any], Callable[[Batch, Event, Any], None]]]] = {
    EventType.SUBMITTED: (submit_said, _submitted),
    EventType.CLAIMED: (claim_said, _claimed),
    EventType.FINISHED: (end_said, _finished),
    EventType.OUTPUT: (_as_it_is, _output),
    EventType.MOVED: (_as_it_is, _moved),
    EventType.AUDITED: (_as_it_is, _audited),
}


def _run(run_id: str, patch: JobPatch) -> Row:
    return {"run_id": run_id, "job_id": patch.job_id, "name": None, "kind": None, "queue": None, "group_name": None}


def _seconds(event: Event) -> float:
    return event.at_ms / 1000
