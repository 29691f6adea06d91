"""Lists of runs: searched, filtered and sorted, a page at a time; one body for every kind of database."""

import itertools
from collections.abc import Callable, Iterator

import pytest

from scriptfleet.domain.state import State
from scriptfleet.errors import InvalidValue
from scriptfleet.storage import run_choice, run_list, script_names
from scriptfleet.storage.engine import Database
from scriptfleet.storage.ingest_store import IngestStore
from scriptfleet.storage.paging import PageRequest
from scriptfleet.storage.run_filter import RunFilter
from scriptfleet.storage.run_list import FoundRuns, RunList, Wish
from scriptfleet.storage.run_store import RunRow
from scriptfleet.storage.sorted_runs import SortBy
from tests import event_factory as make

MINUTE = 60_000
NAMES = ("backup.sh", "Nightly-Backup.sh", "train.py", "100%_done.py")


CASES = [
    (Wish(), 41),
    (Wish(search="BACKUP"), 21),
    (Wish(search="0%_"), 10),
    (Wish(search="%"), 10),
    (Wish(search="'; DROP TABLE runs; --"), 0),
    (Wish(RunFilter(name="backup.sh"), search="backup"), 11),
    (Wish(RunFilter(name="train.py"), search="backup"), 0),
    (Wish(RunFilter(outcome=State.FAILED), search="backup"), 2),
    (Wish(RunFilter(outcome=State.RUNNING)), 1),
    (Wish(RunFilter(outcome=State.RUNNING, queue="default")), 1),
    (Wish(RunFilter(queue="queue-1")), 8),
    (Wish(RunFilter(group_name="group-1", queue="queue-1")), 3),
    (Wish(RunFilter(label=("team", "data"))), 10),
    (Wish(RunFilter(label=("team", "data"), worker="worker-1@host-1")), 10),
    (Wish(RunFilter(label=("team", "nobody"))), 0),
    (Wish(RunFilter(since=make.START_MS / 1000 + 1800), search=".sh"), 5),
    (Wish(RunFilter(until=make.START_MS / 1000 + 1800, kind="shell")), 30),
]

VALUES: dict[SortBy, Callable[[RunRow], float | None]] = {
    SortBy.START: lambda run: run.began_at,
    SortBy.WALL: lambda run: run.usage.execution_time_seconds,
    SortBy.CPU: lambda run: run.usage.cpu_seconds,
    SortBy.MEMORY: lambda run: run.usage.memory_max_mb,
}


@pytest.fixture
def filled(database: Database) -> Database:
    """Keep 40 runs of four scripts, a minute apart; each tenth failed, and one runs still."""
    events = []
    for at in range(40):
        labels = {"team": "ops" if at % 4 else "data"}
        spec = make.shell_spec(NAMES[at % 4], queue=f"queue-{at % 5}", group=f"group-{at % 3}", labels=labels)
        outcome = State.FAILED if at % 10 == 0 else State.SUCCEEDED
        cost = {
            "execution_time_seconds": float((at * 7) % 40),
            "memory_max_mb": float(at % 4),
            "user_time_seconds": at / 4,
        }
        events += make.whole_job(spec, outcome, make.START_MS + at * MINUTE, **cost)
    events += [make.submitted("waiting", make.shell_spec("backup.sh"), at_ms=make.START_MS + 60 * MINUTE)]
    events += [make.claimed("waiting", "f" * 32, at_ms=make.START_MS + 61 * MINUTE)]
    IngestStore(database).apply(events)
    return database


def pages(database: Database, wish: Wish, size: int = 7) -> Iterator[FoundRuns]:
    cursor = None
    while True:
        found = RunList(database).page(wish, PageRequest(size, cursor))
        yield found
        cursor = found.page.next_cursor
        if cursor is None:
            return


def rows(database: Database, wish: Wish) -> list[RunRow]:
    return [run for found in pages(database, wish) for run in found.page.items]


def test_pages_give_each_run_that_is_asked_for_once(filled: Database) -> None:
    for wish, count in CASES:
        for by in (SortBy.START, SortBy.WALL):
            found = rows(filled, Wish(wish.which, wish.search, by))
            assert len({run.run_id for run in found}) == len(found) == count, (wish, by)
        counts = RunList(filled).counts(wish).by_outcome
        outcome = wish.which.outcome
        assert (counts.get(str(outcome), 0) if outcome else sum(counts.values())) == count, wish


def test_runs_come_in_the_order_asked_for_and_what_is_not_known_last(filled: Database) -> None:
    for by, is_ascending, search in itertools.product(SortBy, (False, True), (None, "a")):
        wish = Wish(search=search, by=by, is_ascending=is_ascending)
        found = [VALUES[by](run) for run in rows(filled, wish)]
        known = [one for one in found if one is not None]
        assert known == sorted(known, reverse=not is_ascending), wish
        assert found[: len(known)] == known, wish
        assert len(found) - len(known) == (0 if by is SortBy.START else 1), wish


def test_however_many_runs_there_are_a_bounded_number_is_looked_at_and_the_answer_says_so(
    filled: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_list, "MOST_SORTED", 20)
    monkeypatch.setattr(run_choice, "MOST_LOOKED_AT", 10)
    monkeypatch.setattr(run_list, "MOST_LOOKED_AT", 10)
    monkeypatch.setattr(run_choice, "_FEW_JOBS", 3)

    longest = RunList(filled).page(Wish(by=SortBy.WALL), PageRequest(30))
    of_queue = RunList(filled).page(Wish(RunFilter(queue="queue-1")), PageRequest(30))
    of_label = RunList(filled).page(Wish(RunFilter(label=("team", "data"))), PageRequest(30))
    of_scripts = RunList(filled).page(Wish(RunFilter(outcome=State.FAILED), search="a"), PageRequest(30))

    assert (len(longest.page.items), longest.sorted_runs, longest.looked_at_runs) == (20, 20, None)
    assert (len(of_queue.page.items), of_queue.looked_at_runs) == (2, 10)
    assert (len(of_label.page.items), of_label.looked_at_runs) == (2, 10)
    assert (of_scripts.scripts, of_scripts.looked_at_runs) == (3, 3)
    assert RunList(filled).counts(Wish()).is_cut
    assert not RunList(filled).counts(Wish(RunFilter(queue="queue-1"))).is_cut


@pytest.mark.parametrize(
    ("most", "wish", "is_cut"),
    [
        (41, Wish(by=SortBy.WALL), False),
        (40, Wish(by=SortBy.WALL), True),
        # Two scripts, of 11 runs and of 10.
        (22, Wish(search="backup", by=SortBy.CPU), False),
        (20, Wish(search="backup", by=SortBy.CPU), True),
        (22, Wish(search="backup", by=SortBy.MEMORY, is_ascending=True), False),
    ],
)
def test_a_list_is_cut_where_a_script_has_more_runs_than_are_read_of_it(
    filled: Database, monkeypatch: pytest.MonkeyPatch, most: int, wish: Wish, is_cut: bool
) -> None:
    monkeypatch.setattr(run_list, "MOST_SORTED", most)

    found, counts = list(pages(filled, wish)), RunList(filled).counts(wish)

    shown = sum(len(one.page.items) for one in found)
    assert {one.sorted_runs is not None for one in found} == {is_cut}
    assert (counts.is_cut, sum(counts.by_outcome.values())) == (is_cut, shown)
    assert shown == ((21 if wish.search else 41) - is_cut)


def test_of_too_many_scripts_the_first_ones_are_listed(filled: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(script_names, "MOST_FOUND", 2)

    found = RunList(filled).page(Wish(search="."), PageRequest(50))

    assert (found.scripts, found.has_more_scripts) == (2, True)
    assert len({run.name for run in found.page.items}) == 2
    assert not RunList(filled).page(Wish(search="train"), PageRequest(50)).has_more_scripts


def test_a_search_that_is_too_long_and_a_cursor_of_nothing_are_refused(filled: Database) -> None:
    with pytest.raises(InvalidValue, match="search"):
        Wish(search="x" * 256)
    with pytest.raises(InvalidValue, match="cursor"):
        RunList(filled).page(Wish(search="backup"), PageRequest(5, "AAAA"))
