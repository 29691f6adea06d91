"""Runs as they are kept: their measures, output and curve."""

import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import sqlalchemy as sa

from scriptfleet.domain import check
from scriptfleet.domain.process_tree import ProcessTree
from scriptfleet.domain.run import Artifact
from scriptfleet.domain.sample import Sample
from scriptfleet.domain.state import State
from scriptfleet.domain.usage import MEASURES, Usage
from scriptfleet.errors import InvalidValue, RunNotFound
from scriptfleet.storage import curve_bytes, tree_bytes
from scriptfleet.storage.engine import Database
from scriptfleet.storage.matches import words_of
from scriptfleet.storage.paging import Page, PageRequest, cursor_of, read_page
from scriptfleet.storage.record_row import STREAMS
from scriptfleet.storage.run_filter import RunFilter, conditions_of, of_outcomes
from scriptfleet.storage.run_order import newest_page, outcomes
from scriptfleet.storage.tables import curves, outputs, runs, tails

_OWN = ("run_id", "job_id", "name", "kind", "queue", "group_name", "attempt", "worker", "host")
_TIMES = ("claimed_at", "started_at", "finished_at", "began_at")
_ENDS = ("outcome", "is_stale", "output_data", "stdout_cut_bytes", "stderr_cut_bytes")
_COLUMNS = [runs.c[name] for name in (*_OWN, *_TIMES, *_ENDS, "artifacts", "custom", *MEASURES)]


@dataclass(frozen=True, slots=True)
class RunRow:
    """A run as the store knows it. Moments are seconds since the epoch."""

    run_id: str
    job_id: str
    #: Of its job; None until the submit has been seen.
    name: str | None
    kind: str | None
    queue: str | None
    #: What its worker says; None until the claim or the record has been seen.
    attempt: int | None
    worker: str | None
    host: str | None
    claimed_at: float | None
    #: When its process started; None when it never did, or runs now.
    started_at: float | None
    #: When its record came, or when it was given up.
    finished_at: float | None
    #: The first of these three that is known: what runs are listed by.
    began_at: float
    #: None while it runs.
    outcome: State | None
    #: Whether another run owned the job when this one ended.
    is_stale: bool
    output_data: object
    stdout_cut_bytes: int | None
    stderr_cut_bytes: int | None
    #: Of its job.
    group_name: str | None = None
    #: What it kept; None where that is not known: it runs now, was lost, or ended before artifacts were stored.
    artifacts: list[Artifact] | None = None
    usage: Usage = field(default_factory=Usage)


class RunStore:
    """Reads runs; they are written by the ingest store. Each method raises StoreUnreachable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, run_id: str) -> RunRow:
        """Give one run; raises RunNotFound."""
        wanted = sa.select(*_COLUMNS).where(runs.c.run_id == check.text("run_id", run_id))
        with self._database.reading() as connection:
            row = connection.execute(wanted).one_or_none()
        if row is None:
            raise RunNotFound(run_id)
        return _run(row)

    def several(self, run_ids: Sequence[str]) -> list[RunRow]:
        """Give the runs of these ids, in their order; those that are gone are left out."""
        with self._database.reading() as connection:
            return _several(connection, run_ids)

    def page(self, which: RunFilter, request: PageRequest) -> Page[RunRow]:
        """Give a page of runs, the last begun first."""
        # By its name alone a script's runs stand in an index.
        found = self.page_of_a_script(which, request) if words_of(which) else None
        if found is not None:
            return found
        wanted = sa.select(*_COLUMNS).where(*conditions_of(which))
        with self._database.reading() as connection:
            return read_page(connection, wanted, (runs.c.began_at, runs.c.run_id), request, _run)

    def page_of_a_script(self, which: RunFilter, request: PageRequest) -> Page[RunRow] | None:
        """Give what page() gives, from segments; None where more than one script is meant or rows alone tell."""
        if which.name is None:
            return None
        with self._database.snapshot() as connection:
            keys = newest_page(connection, which, request)
            if keys is None:
                return None
            shown = keys[: request.limit]
            last = cursor_of(*shown[-1]) if len(keys) > len(shown) else None
            return Page(_several(connection, [run_id for _, run_id in shown]), last)

    def counts(self, which: RunFilter) -> dict[str, int]:
        """Give the number of runs by outcome; those still under way count as ``running``."""
        # By the column itself, which an index has in order.
        wanted = sa.select(runs.c.outcome, sa.func.count()).where(*conditions_of(which)).group_by(runs.c.outcome)
        is_of_all_runs = replace(which, since=None, until=None) == RunFilter()
        with self._database.snapshot() as connection:
            found = outcomes(connection, which)
            if found is None:
                parts = of_outcomes(wanted) if is_of_all_runs else [wanted]
                found = Counter({name: int(count) for part in parts for name, count in connection.execute(part)})
        return {str(name or State.RUNNING): count for name, count in found.items()}

    def curve(self, run_id: str) -> list[Sample]:
        """Give a run's cost curve; empty for none."""
        packed = self._beside(run_id, curves.c.packed)
        return curve_bytes.unpack(packed) if packed else []

    def process_tree(self, run_id: str) -> ProcessTree | None:
        """Give a run's processes as they were when they were most; None where nobody looked."""
        packed = self._beside(run_id, curves.c.process_tree)
        return tree_bytes.unpack(packed) if packed else None

    def _beside(self, run_id: str, column: sa.ColumnElement[bytes | None]) -> bytes | None:
        wanted = sa.select(column).where(curves.c.run_id == check.text("run_id", run_id))
        with self._database.reading() as connection:
            found = connection.scalar(wanted)
        return None if found is None else bytes(found)

    def output(self, run_id: str, stream: str) -> Iterator[bytes]:
        """Give what a run wrote to ``stdout`` or ``stderr``, as it is stored, chunk by chunk.

        Where no chunk has come, the end that travelled with the record. Memory holds one chunk at a time.
        """
        stored = _stored(run_id, stream)
        with self._database.reading() as connection:
            numbers = list(connection.scalars(sa.select(outputs.c.number).where(stored).order_by(outputs.c.number)))
        for number in numbers:
            yield self._chunk(stored & (outputs.c.number == number))
        if not numbers:
            yield self._tail(run_id, stream)

    def output_end(self, run_id: str, stream: str, most_bytes: int) -> bytes:
        """Give at most the last ``most_bytes`` of what output() gives."""
        stored, end = _stored(run_id, stream), b""
        with self._database.reading() as connection:
            wanted = sa.select(outputs.c.number).where(stored).order_by(outputs.c.number.desc())
            numbers = list(connection.scalars(wanted))
        for number in numbers:
            end = self._chunk(stored & (outputs.c.number == number)) + end
            if len(end) >= most_bytes:
                break
        return (end if numbers else self._tail(run_id, stream))[-most_bytes:]

    def _chunk(self, which: sa.ColumnElement[bool]) -> bytes:
        with self._database.reading() as connection:
            body = connection.scalar(sa.select(outputs.c.body).where(which))
        return zlib.decompress(body) if body is not None else b""

    def _tail(self, run_id: str, stream: str) -> bytes:
        wanted = sa.select(tails.c.content).where(tails.c.run_id == run_id, tails.c.stream == stream)
        with self._database.reading() as connection:
            return str(connection.scalar(wanted) or "").encode()


def _stored(run_id: str, stream: str) -> sa.ColumnElement[bool]:
    if stream not in STREAMS:
        raise InvalidValue("stream", stream, " or ".join(STREAMS))
    return (outputs.c.run_id == check.text("run_id", run_id)) & (outputs.c.stream == stream)


def _several(connection: sa.Connection, run_ids: Sequence[str]) -> list[RunRow]:
    wanted = sa.select(*_COLUMNS).where(runs.c.run_id.in_(run_ids))
    found = {row.run_id: _run(row) for row in connection.execute(wanted)}
    return [found[run_id] for run_id in run_ids if run_id in found]


def _run(row: sa.Row[Any]) -> RunRow:
    values = row._mapping
    kept = {name: values[name] for name in (*_OWN, *_TIMES, *_ENDS)}
    kept["outcome"] = State(values["outcome"]) if values["outcome"] else None
    kept["is_stale"] = bool(values["is_stale"])
    if values["artifacts"] is not None:
        kept["artifacts"] = [Artifact(**one) for one in values["artifacts"]]
    usage = Usage(**{name: values[name] for name in MEASURES}, custom=values["custom"] or {})
    return RunRow(**kept, usage=usage)
