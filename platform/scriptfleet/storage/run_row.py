"""The row of a run whose record has come: what the record says, and what others of its batch say of it."""

from collections.abc import Callable
from operator import itemgetter
from typing import Any, Final, NamedTuple

from scriptfleet.domain.state import State
from scriptfleet.domain.usage import MEASURES
from scriptfleet.storage.row import Row

#: The columns of ``runs``, in their order there (tests/contract/test_store_schema.py).
RUN_COLUMNS: Final = (
    *("run_id", "job_id", "name", "kind", "queue", "group_name", "attempt", "worker", "host", "outcome", "is_stale"),
    *("claimed_at", "started_at", "finished_at", "began_at", *MEASURES),
    *("custom", "output_data", "stdout_cut_bytes", "stderr_cut_bytes", "artifacts"),
)


class RecordSaid(NamedTuple):
    """What a record says of its run, checked, as columns take it."""

    run_id: str
    attempt: int
    worker: str | None
    host: str | None
    queue: str | None
    outcome: State
    #: Seconds since the epoch.
    started_at: float | None
    #: In the order of MEASURES.
    measures: tuple[object, ...]
    custom: dict[str, object] | None
    output_data: object
    stdout_cut_bytes: int
    stderr_cut_bytes: int
    artifacts: list[dict[str, object]]
    #: As curve_bytes.py has it; None where there is none.
    curve: bytes | None
    #: As tree_bytes.py has it; None where there is none, or no curve.
    process_tree: bytes | None
    #: The ends of both streams by name, without those that are empty.
    tails: dict[str, str]


class JobNames(NamedTuple):
    """What a run repeats of its job."""

    name: str | None
    kind: str | None
    queue: str | None
    group_name: str | None


class FinishedRow:
    """One row. Its names and its claim are filled in once they are known."""

    __slots__ = (
        *("began_at", "claimed_at", "finished_at", "group_name", "is_stale", "job_id", "kind", "name", "queue"),
        "record",
    )

    def __init__(self, record: RecordSaid, job_id: str, is_stale: bool, finished_at: float) -> None:
        self.record, self.job_id, self.is_stale, self.finished_at = record, job_id, is_stale, finished_at
        self.name: str | None = None
        self.kind: str | None = None
        self.queue = record.queue
        self.group_name: str | None = None
        self.take_claim(None)

    def take_claim(self, claimed_at: Any) -> None:
        """Take when it was claimed. A run is listed by the first of started, claimed and finished that is known."""
        started_at = self.record.started_at
        self.claimed_at = claimed_at
        self.began_at = started_at if started_at is not None else self.finished_at if claimed_at is None else claimed_at

    def take_names(self, names: JobNames) -> None:
        """Take what its job is called."""
        self.name, self.kind, queue, self.group_name = names
        # An attempt after out of memory may have been in another queue than its job began in.
        self.queue = self.record.queue or queue

    def values(self) -> tuple[object, ...]:
        """Give the values of RUN_COLUMNS."""
        said = self.record
        return (
            *(said.run_id, self.job_id, self.name, self.kind, self.queue, self.group_name, said.attempt, said.worker),
            *(said.host, str(said.outcome), self.is_stale, self.claimed_at, said.started_at, self.finished_at),
            *(self.began_at, *said.measures, said.custom, said.output_data),
            *(said.stdout_cut_bytes, said.stderr_cut_bytes, said.artifacts),
        )

    def row(self) -> Row:
        """Give what is known of it by column."""
        return {name: value for name, value in zip(RUN_COLUMNS, self.values(), strict=True) if value is not None}


def measures_of(*names: str) -> Callable[[FinishedRow], tuple[Any, ...]]:
    """Give what gives these measures of a row, two or more."""
    chosen = itemgetter(*(MEASURES.index(name) for name in names))

    def of(row: FinishedRow) -> tuple[Any, ...]:
        found: tuple[Any, ...] = chosen(row.record.measures)
        return found

    return of
