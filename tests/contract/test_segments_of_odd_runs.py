"""Segments of runs, and of scripts, that are seldom so."""

import random
import sqlite3
import threading

import pytest
import sqlalchemy as sa

from scriptfleet.storage import segment_making
from scriptfleet.storage.columns import counts_of, cover
from scriptfleet.storage.distribution import aggregates, deviation, spread
from scriptfleet.storage.engine import Database, open_store
from scriptfleet.storage.ingest_store import IngestStore
from scriptfleet.storage.metric import Metric
from scriptfleet.storage.run_filter import RunFilter
from scriptfleet.storage.segment_making import drop_all, make_segments
from scriptfleet.storage.segments import Segment, SegmentState
from scriptfleet.storage.series import counts
from scriptfleet.storage.tables import labels, segment_columns, segments
from tests import event_factory as make
from tests.segment_parts import NOW, run_row, small_segments, states, store

__all__ = ["small_segments"]


def test_a_script_without_a_name_is_not_one_whose_name_is_empty(database: Database) -> None:
    store(
        database,
        *(run_row(at, 1000.0 + at, "") for at in range(8)),
        *(run_row(10 + at, 1000.0 + at, None) for at in range(3)),
    )
    make_segments(database, NOW)

    assert counts(database, RunFilter())["cpu_max"] == 11
    assert aggregates(database, Metric("cpu_max", RunFilter()), ("count",)) == {"count": 11}


def test_runs_with_a_metric_of_an_endless_name_stay_rows_and_keep_no_other_from_a_segment(database: Database) -> None:
    endless = "".join(random.Random(1).choices("abcdefghijklmnopqrstuvwxyz", k=20_000))
    store(database, *(run_row(at, 1000.0 + at, "a.py", custom={endless: 1}) for at in range(8)))
    store(database, *(run_row(10 + at, 1000.0 + at, "b.py") for at in range(8)))

    assert make_segments(database, NOW) == 8
    assert counts(database, RunFilter(name="a.py"))[f"custom.{endless}"] == 8


def test_numbers_whose_squares_no_double_holds_have_no_deviation_that_ends_in_a_fault(database: Database) -> None:
    store(database, *(run_row(at, 1000.0 + at, custom={"rows": 1e200 * at}) for at in range(8)))
    make_segments(database, NOW)

    metric = Metric("custom.rows", RunFilter(name="a.py"))
    with database.snapshot() as connection:
        summary, _ = spread(connection, metric, lambda count: [])
        assert deviation(connection, metric, summary) == float("inf")


def test_who_makes_segments_can_be_told_to_stop_when_none_can_be_made(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place, name in enumerate(("a.py", "b.py", "c.py")):
        store(database, *(run_row(100 * place + at, 1000.0 + at, name) for at in range(8)))
    monkeypatch.setattr(segment_making, "_MOST_READ", 5)

    make_segments(database, NOW, lambda: True)

    assert len(states(database)) == 1


def test_segments_may_be_more_than_a_statement_has_parameters(sqlite_url: str) -> None:
    database = open_store(sqlite_url)
    sa.event.listen(
        database.engine, "connect", lambda driver, _: driver.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, 999)
    )
    row = {"name": "a.py", "from_at": 0.0, "until_at": 1.0, "runs": 0, "state": SegmentState.CHANGED}
    with database.writing() as connection:
        connection.execute(sa.insert(segments), [row | {"segment_id": f"s{at}"} for at in range(1200)])
        many = [Segment(f"s{at}", "a.py", 0.0, 1.0, 0) for at in range(1200)]
        assert counts_of(connection, many) == {}

    make_segments(database, NOW)

    assert states(database) == []
    database.close()


@pytest.mark.postgres
def test_who_drops_all_segments_leaves_nothing_of_one_that_is_made_meanwhile(postgres_database_url: str) -> None:
    database = open_store(postgres_database_url)
    row = {"segment_id": "s", "name": "a.py", "from_at": 0.0, "until_at": NOW, "runs": 0, "state": SegmentState.MAKING}
    with database.writing() as connection:
        connection.execute(sa.insert(segments).values(row))
    with database.engine.connect() as making:
        making.execute(sa.update(segments).values(state=SegmentState.WHOLE))
        making.execute(sa.insert(segment_columns).values(segment_id="s", name="x", count=0, packed=b""))
        dropping = threading.Thread(target=drop_all, args=(database,))
        dropping.start()
        dropping.join(0.3)
        assert dropping.is_alive()
        making.commit()
        dropping.join(30)
    with database.reading() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(segment_columns)) == 0
    database.close()


def test_a_label_that_changes_or_goes_marks_the_segments_of_its_job(database: Database) -> None:
    store(database, *(run_row(at, 1000.0 + at) for at in range(8)), run_row(20, 1000.0, "b.py", job_id="job-3"))
    store(database, *(run_row(30 + at, 1000.0 + at, "c.py") for at in range(8)))
    of_it = labels.c.job_id == "job-3"
    with database.writing() as connection:
        connection.execute(sa.insert(labels), [{"job_id": one, "name": "team", "value": "x"} for one in ("job-3", "j")])
    for change in (sa.update(labels).where(of_it).values(value="y"), sa.delete(labels).where(of_it)):
        make_segments(database, NOW)
        assert states(database) == [SegmentState.WHOLE] * 2
        with database.writing() as connection:
            connection.execute(change)
        assert sorted(states(database)) == [SegmentState.CHANGED, SegmentState.WHOLE]
    make_segments(database, NOW)
    with database.writing() as connection:
        connection.execute(sa.delete(labels))
    assert states(database) == [SegmentState.WHOLE] * 2


def test_labels_that_come_after_the_runs_of_their_job_are_found_in_segments(database: Database) -> None:
    began, late = make.START_MS / 1000, make.START_MS / 1000 + NOW
    store(database, *(run_row(at, began - 10 + 4 * at, "late.py") for at in range(8)))
    submitted, *others = make.whole_job(make.shell_spec("late.py", labels={"team": "x"}))
    ingest, labelled = IngestStore(database), Metric("success", RunFilter(name="late.py", label=("team", "x")))
    ingest.apply(others)
    make_segments(database, late)
    assert aggregates(database, labelled, ("count",)) == {"count": 0}

    ingest.apply([submitted])
    assert states(database) == [SegmentState.CHANGED]
    assert aggregates(database, labelled, ("count",)) == {"count": 1}
    make_segments(database, late)
    assert states(database) == [SegmentState.WHOLE]
    assert aggregates(database, labelled, ("count",)) == {"count": 1}


@pytest.mark.parametrize("bound", ["_MOST_LABELS", "_MOST_LABEL_NAMES"])
def test_runs_with_too_many_labels_are_found_by_them_in_rows_and_by_all_else_in_segments(
    database: Database, monkeypatch: pytest.MonkeyPatch, bound: str
) -> None:
    store(database, *(run_row(at, 1000.0 + at, ("a.py", "b.py")[at // 8]) for at in range(16)))
    told = [{"job_id": f"job-{at}", "name": f"of-{at}", "value": "x"} for at in range(8)]
    with database.writing() as connection:
        connection.execute(sa.insert(labels), [*told, {"job_id": "job-9", "name": "team", "value": "x"}])
    monkeypatch.setattr(segment_making, bound, 5)

    assert make_segments(database, NOW) == 16
    for name, label, count in (("a.py", "of-3", 1), ("a.py", "team", 0), ("b.py", "team", 1), ("a.py", None, 8)):
        which = RunFilter(name=name, label=(label, "x") if label else None, since=999.0)
        assert counts(database, which).get("cpu_max", 0) == count
        with database.snapshot() as connection:
            is_by_rows = cover(connection, which) is None
        assert is_by_rows == (name == "a.py" and label is not None)
    assert counts(database, RunFilter(since=1003.0, name="a.py"))["cpu_max"] == 5
