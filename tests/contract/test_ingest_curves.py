"""What the store keeps of a run's curve and of its processes; one body for every kind of database."""

from typing import Any

import pytest

from scriptfleet.domain.event import Event
from scriptfleet.domain.process_tree import ProcessSeen, ProcessTree
from scriptfleet.domain.sample import Sample
from scriptfleet.errors import InvalidValue, RunNotFound
from scriptfleet.storage.engine import Database
from scriptfleet.storage.ingest_store import IngestStore
from scriptfleet.storage.run_store import RunStore
from tests import event_factory as make

JOB, RUN, SECOND = "0a6e9f0e-5d83-4d0b-8f3c-0c2b9e2a7f10", "a" * 32, "b" * 32


def test_a_run_keeps_its_curve_and_its_processes(database: Database) -> None:
    IngestStore(database).apply([make.submitted(JOB), make.finished(make.record(JOB, RUN))])
    store = RunStore(database)

    assert store.curve(RUN) == [Sample(0.0, 50.0, 20.5, 1, 0, 4096), Sample(1.0, 90.25, 48.5, 2, 512, 8192)]
    assert store.process_tree(RUN) == make.TREE
    assert (store.curve(SECOND), store.process_tree(SECOND)) == ([], None)


def test_of_an_older_worker_the_curve_has_no_bytes_and_no_process_is_known(database: Database) -> None:
    finished = make.finished(make.record(JOB, RUN))
    for name in ("curve_io", "process_tree"):
        del finished.data["record"][name]
    IngestStore(database).apply([make.submitted(JOB), finished])
    store = RunStore(database)

    assert store.curve(RUN) == [Sample(0.0, 50.0, 20.5, 1), Sample(1.0, 90.25, 48.5, 2)]
    assert store.process_tree(RUN) is None


def test_a_process_tree_is_kept_no_longer_than_it_may_be(database: Database) -> None:
    one = ProcessSeen(7, 1, "x\0" * 5_000, 0.0, 1.0, 1.0)
    tree = ProcessTree(1.0, 70_000, (one,) * 1_000)
    IngestStore(database).apply([make.submitted(JOB), make.finished(make.record(JOB, RUN, process_tree=tree))])

    kept = RunStore(database).process_tree(RUN)

    assert kept is not None
    assert (kept.count, len(kept.processes), len(kept.processes[0].command)) == (70_000, 50, 200)


def with_record(**data: Any) -> Event:
    event = make.finished(make.record(JOB, RUN))
    event.data["record"] |= {"curve_io": None, "process_tree": None} | data
    return event


def tree_of(**data: Any) -> dict[str, Any]:
    tree = make.TREE.to_dict()
    tree["processes"][0] |= data
    return tree


MALFORMED = {
    "curve of three numbers": with_record(curve=[(0.0, 1.0, 2.0)]),
    "curve with a word": with_record(curve=[(0.0, "x", 2.0, 1)]),
    "curve that is not finite": with_record(curve=[(0.0, float("nan"), 2.0, 1)]),
    "curve beyond every float": with_record(curve=[(10**400, 1.0, 2.0, 1)]),
    "curve of half processes": with_record(curve=[(0.0, 1.0, 2.0, 1.5)]),
    "curve whose I/O has fewer points": with_record(curve_io=[[0, 0]]),
    "curve of half bytes": with_record(curve_io=[[0, 0], [0.5, 0]]),
    "curve of bytes over 64 bits": with_record(curve_io=[[0, 0], [2**70, 0]]),
    "process tree without a count": with_record(process_tree={"seconds": 1.0, "processes": []}),
    "process without a command": with_record(process_tree=tree_of(command="")),
    "process with a word for its memory": with_record(process_tree=tree_of(memory_mb="much")),
    "process of an age that is not finite": with_record(process_tree=tree_of(age_seconds=float("inf"))),
}


@pytest.mark.parametrize("event", MALFORMED.values(), ids=MALFORMED.keys())
def test_a_record_with_a_malformed_curve_or_tree_is_refused_and_nothing_is_kept(
    database: Database, event: Event
) -> None:
    with pytest.raises(InvalidValue):
        IngestStore(database).apply([make.submitted(JOB), event])

    with pytest.raises(RunNotFound):
        RunStore(database).get(RUN)
