"""Segments give the answers that the rows give, whatever changes; one body for every kind of database."""

import json
import random
import threading
from itertools import cycle, product
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scriptfleet.cli.dispatch import main
from scriptfleet.domain.state import State
from scriptfleet.results.segment_upkeep import SegmentUpkeep
from scriptfleet.storage import segment_making, segment_plan
from scriptfleet.storage.bands import Band, bands, week
from scriptfleet.storage.columns import cover
from scriptfleet.storage.distribution import aggregates, deviation, spread
from scriptfleet.storage.engine import Database, open_store
from scriptfleet.storage.metric import NUMBERS, Metric
from scriptfleet.storage.paging import PageRequest
from scriptfleet.storage.run_filter import RunFilter
from scriptfleet.storage.run_list import Counts, RunList, Wish
from scriptfleet.storage.run_store import RunStore
from scriptfleet.storage.segment_making import drop_all, make_segments
from scriptfleet.storage.segments import FLAT, WORDS, SegmentState, whole_segments
from scriptfleet.storage.series import Bucket, buckets, counts, values
from scriptfleet.storage.sorted_runs import SortBy
from scriptfleet.storage.tables import labels, runs, segment_columns, segments
from tests.eventually import eventually
from tests.segment_parts import NOW, run_row, small_segments, states, store

NAMES = ("a.py", "b.py", None)

__all__ = ["small_segments"]


def some(database: Database, count: int = 100, start: int = 0) -> None:
    store(database, *(run_row(at, 1000.0 + 10 * at) for at in range(start, start + count)))


WHICH = [
    RunFilter(),
    RunFilter(since=700_000.0, until=1_200_000.0),
    RunFilter(name="a.py"),
    RunFilter(name="a.py", since=500_000.0),
    RunFilter(name="b.py", since=333_333.0, until=777_777.0),
    RunFilter(name="a.py", outcome=State.FAILED),
    RunFilter(name="a.py", outcome=State.RUNNING, worker="w1"),
    RunFilter(name="b.py", group_name="g1", until=900_000.0, queue="default", kind="shell"),
    RunFilter(name="a.py", label=("team", "x")),
    RunFilter(name="b.py", label=("team", "y"), outcome=State.FAILED, since=400_000.0),
]
METRICS = ("cpu_max", "page_faults_minor", "success", "custom.rows")
PAGES = 3


def answers(database: Database, name: str) -> list[Any]:
    """Ask all that can be asked of a metric."""
    found: list[Any] = []
    for which, order in zip(WHICH, cycle(product(SortBy, (False, True))), strict=False):
        found.append(counts(database, which))
        metric = Metric(name, which)
        found += [aggregates(database, metric), buckets(database, metric, "1day"), deviation_of(database, metric)]
        found += [bands(database, metric, 50_000), week(database, metric)]
        found += [
            list(values(database, metric)),
            list(values(database, metric, 20, 15)),
            RunStore(database).counts(which),
        ]
        found += listed(database, which, *order)
    return found


def listed(database: Database, which: RunFilter, by: SortBy, is_ascending: bool) -> list[Any]:
    """Go through some pages of a list."""
    listing = RunList(database)
    found: list[Any] = [plain_counts(listing.counts(Wish(which)))]
    cursor = None
    for _ in range(PAGES):
        page = listing.page(Wish(which, by=by, is_ascending=is_ascending), PageRequest(17, cursor)).page
        found.append([run.run_id for run in page.items])
        cursor = page.next_cursor
    return found


def plain_counts(counts: Counts) -> tuple[Any, ...]:
    return sorted(counts.by_outcome.items()), counts.is_cut


def deviation_of(database: Database, metric: Metric) -> float | None:
    with database.snapshot() as connection:
        return deviation(connection, metric, spread(connection, metric, lambda count: [])[0])


def close(value: Any) -> Any:
    """Compare numbers but for their last digits: sums are made in another order."""
    if isinstance(value, dict):
        return {key: close(one) for key, one in value.items()}
    if isinstance(value, float | int):
        return pytest.approx(float(value), rel=1e-9, abs=1e-9)
    if isinstance(value, Band):
        return (value.runs, close(value.p50), close(value.p95))
    return value


def plain(value: Any) -> Any:
    if isinstance(value, Band):
        return (value.runs, value.p50, value.p95)
    return {key: plain(one) for key, one in value.items()} if isinstance(value, dict) else value


def assert_same_as_rows(database: Database, metric: str = "cpu_max") -> None:
    by_column = answers(database, metric)
    drop_all(database)
    for one, other in zip(by_column, answers(database, metric), strict=True):
        if isinstance(one, list) and one and isinstance(one[0], Bucket):
            assert [vars_of(part) for part in one] == [close(vars_of(part)) for part in other]
        else:
            assert plain(one) == close(other)


def vars_of(bucket: Any) -> dict[str, float]:
    return {name: getattr(bucket, name) for name in ("began_at", "count", "avg", "min", "max", "sum")}


def drawn_row(draw: random.Random) -> dict[str, Any]:
    return {
        "name": draw.choice(NAMES),
        "began_at": draw.choice((draw.uniform(-NOW / 9, NOW * 1.1), 600_000.0, 86_400.0 * draw.randint(-3, 20))),
        "cpu_max": draw.choice((None, 5.0, draw.randint(-(10**9), 10**9) / 1000)),
        "execution_time_seconds": draw.choice((None, 1.5, draw.uniform(0, 9))),
        "user_time_seconds": draw.choice((None, 1.0, 2.0)),
        "system_time_seconds": draw.choice((None, 0.5, draw.uniform(0, 9))),
        "page_faults_minor": draw.choice((None, draw.randrange(2**52))),
        "success": draw.choice((True, False, None)),
        "custom": draw.choice((None, {}, {"rows": 1}, {"rows": 2.5, "other": 1}, {"other": 7})),
        "outcome": draw.choice(("succeeded", "failed", None)),
        "worker": draw.choice(("w1", "w2", None)),
        "group_name": draw.choice(("g1", None)),
        "queue": draw.choice(("default", "other")),
        "kind": draw.choice(("shell", None)),
    }


def add(database: Database, draw: random.Random, rows: list[dict[str, Any]]) -> None:
    """Write runs with the labels of their jobs, as the ingest does."""
    told = [
        {"job_id": row["job_id"], "name": name, "value": draw.choice("xy")}
        for row in rows
        for name in ("team", "env")
        if draw.random() < 0.5
    ]
    with database.writing() as connection:
        connection.execute(sa.insert(runs), rows)
        for label in told:
            connection.execute(sa.insert(labels).values(label))


def relabel(connection: sa.Connection, draw: random.Random) -> None:
    connection.execute(sa.delete(labels).where(labels.c.job_id.like(f"%{draw.randint(0, 9)}")))
    some_of_them = labels.c.job_id.like(f"%{draw.randint(0, 9)}")
    connection.execute(sa.update(labels).where(some_of_them).values(value=draw.choice("xy")))


def change(database: Database, act: str, draw: random.Random, at: int) -> None:
    if act == "make":
        make_segments(database, NOW)
    elif act == "label":
        with database.writing() as connection:
            relabel(connection, draw)
    elif act == "insert":
        count = draw.choice((1, 20, 100))
        add(database, draw, [run_row(at * 1000 + place, **drawn_row(draw)) for place in range(count)])
    else:
        with database.writing() as connection:
            ids = list(connection.scalars(sa.select(runs.c.run_id).order_by(runs.c.run_id)))
            some_of_them = runs.c.run_id.in_(draw.sample(ids, draw.randint(1, 5)))
            how = sa.update(runs).values(**drawn_row(draw)) if act == "update" else sa.delete(runs)
            connection.execute(how.where(some_of_them))


@given(st.integers(), st.lists(st.sampled_from(("insert", "update", "delete", "label", "make")), max_size=6))
@settings(max_examples=4, deadline=None, suppress_health_check=list(HealthCheck))
def test_answers_are_those_of_the_rows_whatever_changes(database: Database, number: int, acts: list[str]) -> None:
    draw = random.Random(number)
    with database.writing() as connection:
        for table in (runs, labels, segments, segment_columns):
            connection.execute(sa.delete(table))
    add(database, draw, [run_row(place, **drawn_row(draw)) for place in range(100)])
    for at, act in enumerate(("make", *acts), 1):
        change(database, act, draw, at)

    assert_same_as_rows(database, draw.choice(METRICS))


def test_segments_are_made_of_runs_that_have_settled_and_joined_as_they_come(database: Database) -> None:
    some(database, 9)
    assert make_segments(database, 1000.0 + 900 + 80) == 8
    assert make_segments(database, NOW) == 0
    some(database, 4, start=9)
    assert make_segments(database, NOW) == 13

    some(database, 50, start=13)
    make_segments(database, NOW)

    with database.reading() as connection:
        found = whole_segments(connection, "a.py")
    assert [one.runs for one in found] == [20, 20, 20, 3]
    assert found[0].from_at == 1000.0
    assert [one.until_at for one in found[:-1]] == [one.from_at for one in found[1:]]
    assert found[-1].until_at == NOW - 900


def test_runs_that_began_after_one_that_is_under_way_wait_for_it(database: Database) -> None:
    some(database, 50)
    with database.writing() as connection:
        connection.execute(sa.update(runs).where(runs.c.run_id == "run-30").values(outcome=None))

    make_segments(database, 10_000.0)
    with database.reading() as connection:
        assert sum(one.runs for one in whole_segments(connection)) == 30
    # Nobody waits for it any more.
    make_segments(database, NOW)
    with database.reading() as connection:
        assert sum(one.runs for one in whole_segments(connection)) == 50


def test_each_column_that_a_segment_has_marks_it_when_it_changes(database: Database) -> None:
    some(database, 4)
    make_segments(database, NOW)
    with database.writing() as connection:
        same = {"cpu_max": runs.c.cpu_max, "error_message": "is in no segment"}
        connection.execute(sa.update(runs).values(**same))
    assert states(database) == [SegmentState.WHOLE]

    given: dict[str, Any] = {"success": False, "custom": {"rows": 1}, "began_at": 1001.0}
    for name in (*FLAT, *WORDS, "custom", "began_at", "name"):
        value = given.get(name, 7 if name in NUMBERS else "other")
        with database.writing() as connection:
            connection.execute(sa.update(segments).values(state=SegmentState.WHOLE))
            connection.execute(sa.update(runs).where(runs.c.run_id == "run-2").values({name: value}))
        assert states(database) == [SegmentState.CHANGED], name


def test_runs_that_come_late_or_go_mark_their_own_segment_alone(database: Database) -> None:
    some(database, 60)
    make_segments(database, NOW)
    assert states(database) == [3, 3, 3]

    store(database, run_row(900, 1205.0), run_row(901, 1205.0, "b.py"), run_row(902, NOW))
    assert states(database) == [3, 0, 3]
    with database.writing() as connection:
        connection.execute(sa.delete(runs).where(runs.c.run_id == "run-0"))
    assert states(database) == [0, 0, 3]

    assert make_segments(database, NOW) == 40
    assert states(database) == [3, 3, 3]
    assert aggregates(database, Metric("cpu_max", RunFilter(name="a.py")), ("count",)) == {"count": 61}


def test_a_change_between_reading_and_storing_wins(database: Database) -> None:
    some(database, 8)
    stretch = segment_plan.Stretch("a.py", (0.0, NOW), ())
    segment_id = segment_making._announce(database, stretch)

    store(database, run_row(900, 1005.0))

    assert not segment_making._store(database, stretch, segment_id, 8, {"cpu_max": (8, b"")})
    assert aggregates(database, Metric("cpu_max", RunFilter()), ("count",)) == {"count": 9}


def test_two_that_make_the_same_make_it_once(database: Database) -> None:
    some(database, 8)
    stretch = segment_plan.Stretch("a.py", (0.0, NOW), ())
    first, second = (segment_making._announce(database, stretch) for _ in range(2))

    assert segment_making._store(database, stretch, first, 8, {"cpu_max": (8, b"")})
    assert not segment_making._store(database, stretch, second, 8, {"cpu_max": (8, b"")})


def test_one_service_at_a_time_has_the_turn(database: Database) -> None:
    some(database, 8)
    services = [SegmentUpkeep(database) for _ in range(3)]

    assert [one.look(NOW) for one in services] == [8, 0, 0]
    some(database, 8, start=8)
    assert [one.look(NOW + 59) for one in services] == [0, 0, 0]
    assert sum(one.look(NOW + 60) for one in services) == 16


def test_a_service_makes_them_by_itself_and_ends_when_told(database: Database) -> None:
    some(database, 8)
    service = SegmentUpkeep(database, every_seconds=0.01)
    service.start()
    try:
        eventually(lambda: states(database) == [SegmentState.WHOLE])
    finally:
        service.stop()
    assert not service._thread.is_alive()


def test_the_command_line_makes_them_and_makes_them_anew(
    database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    some(database, 8)
    said = ["db", "segments", "--database", database_url, "--json"]

    assert main(said) == 0
    assert json.loads(capsys.readouterr().out) == {"dropped": 0, "runs": 8}
    assert main([*said, "--anew"]) == 0
    assert json.loads(capsys.readouterr().out) == {"dropped": 1, "runs": 8}
    assert main(said[:-1]) == 0
    assert capsys.readouterr().out == "0 runs taken into segments\n"


def test_what_a_writer_had_under_way_is_not_left_out(database: Database) -> None:
    some(database, 8)
    with database.engine.connect().execution_options(scriptfleet_writes=True) as writer:
        writer.begin()
        writer.execute(sa.insert(runs), [run_row(900, 1005.0)])
        making = threading.Thread(target=make_segments, args=(database, NOW))
        making.start()
        making.join(0.3)
        assert making.is_alive()
        writer.commit()
        making.join(30)

    assert states(database) == [3]
    assert_same_as_rows(database)


@pytest.mark.postgres
def test_a_writer_that_began_while_a_segment_was_announced_is_waited_for(postgres_database_url: str) -> None:
    database = open_store(postgres_database_url)
    row = {"segment_id": "s", "name": "a.py", "from_at": 0.0, "until_at": NOW, "runs": 0, "state": SegmentState.MAKING}
    found: list[bool] = []
    with database.engine.connect() as announcing, database.engine.connect() as writer:
        announcing.execute(sa.insert(segments).values(row))
        writer.execute(sa.insert(runs), [run_row(900, 1005.0)])
        announcing.commit()
        waiting = threading.Thread(target=lambda: found.append(segment_making._is_alone(database)))
        waiting.start()
        waiting.join(0.3)
        assert waiting.is_alive()
        writer.commit()
        waiting.join(30)
    database.close()

    assert found == [True]


def test_more_names_than_are_looked_through_are_read_from_rows(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    some(database, 8)
    make_segments(database, NOW)
    monkeypatch.setattr("scriptfleet.storage.columns.MOST_LOOKED_AT", 1)

    with database.reading() as connection:
        assert cover(connection, RunFilter()) is None
        assert cover(connection, RunFilter(name="a.py")) is not None
