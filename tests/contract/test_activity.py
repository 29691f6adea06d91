"""Counts of runs by time, on each database."""

from scriptfleet.domain.state import State
from scriptfleet.storage.activity import activity
from scriptfleet.storage.engine import Database
from scriptfleet.storage.ingest_store import IngestStore
from tests import event_factory as make


def test_runs_are_counted_in_the_bucket_in_which_they_began_by_outcome(database: Database) -> None:
    store, start = IngestStore(database), make.START_MS / 1000
    for at, outcome in ((0, State.SUCCEEDED), (30, State.FAILED), (59, State.FAILED), (125, State.SUCCEEDED)):
        store.apply(make.whole_job(outcome=outcome, at_ms=make.START_MS + at * 1000))

    # A run begins 1.25 s after its submit.
    assert activity(database, start + 1, start + 181, 60.0) == [
        {"succeeded": 1, "failed": 2},
        {},
        {"succeeded": 1},
    ]
    assert activity(database, start + 1000, start + 1060, 60.0) == [{}]
