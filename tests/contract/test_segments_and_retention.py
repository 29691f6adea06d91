"""Segments of runs that retention deletes and an archive gives back."""

from pathlib import Path

import sqlalchemy as sa

from scriptfleet.storage.archive import restore
from scriptfleet.storage.distribution import aggregates
from scriptfleet.storage.engine import Database
from scriptfleet.storage.history import HistoryManager
from scriptfleet.storage.metric import Metric
from scriptfleet.storage.retention import forget
from scriptfleet.storage.retention_policy import RetentionPolicy
from scriptfleet.storage.run_filter import RunFilter
from scriptfleet.storage.segment_making import make_segments
from scriptfleet.storage.tables import jobs, labels
from tests.segment_parts import NOW, run_row, small_segments, store

__all__ = ["small_segments"]


def test_what_retention_deletes_and_an_archive_gives_back_is_right_at_each_moment(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    store(database, *(run_row(at, 1000.0 + 10 * at) for at in range(30)))
    with database.writing() as connection:
        told = {"state": "succeeded", "revision": 1, "attempt": 1, "run_revision": 1}
        rows = [{"job_id": f"job-{at}", "submitted_at": 0.0, "finished_at": 2000.0 + at, **told} for at in range(30)]
        connection.execute(sa.insert(jobs), rows)
        connection.execute(sa.insert(labels).values(job_id="job-3", name="team", value="x"))
    make_segments(database, NOW)
    count = Metric("cpu_max", RunFilter(name="a.py"))
    assert aggregates(database, count, ("count", "max")) == {"count": 30, "max": 29.0}

    with HistoryManager(database_url) as history:
        policies = RetentionPolicy(history)
        policies.add_policy("all", 1, tmp_path / "archive")
        gone = policies.apply_policy("all")
    assert gone["runs"] == 30
    assert aggregates(database, count, ("count", "max")) == {"count": 0, "max": None}
    make_segments(database, NOW)

    archive = next((tmp_path / "archive").iterdir())
    restore(database, archive)
    assert aggregates(database, count, ("count", "max")) == {"count": 30, "max": 29.0}
    make_segments(database, NOW)
    with database.writing() as connection:
        connection.execute(sa.delete(labels))
    make_segments(database, NOW)
    restore(database, archive)
    labelled = Metric("cpu_max", RunFilter(name="a.py", label=("team", "x")))
    assert aggregates(database, labelled, ("count", "max")) == {"count": 1, "max": 3.0}
    make_segments(database, NOW)

    forget(database, 2010.0)
    assert aggregates(database, count, ("count", "min")) == {"count": 20, "min": 10.0}
