"""How fast history answers: the queries and pages of a store of a million runs, on SQLite and PostgreSQL.

The store is seeded (history_seed.py), or one that was is asked its queries again (`--database URL`), and has its
segments made; each query and page (page_times.py) is asked twenty times, and the figure is the 95th percentile beside
the median. Exports tell the most memory that a process of its own took.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from benchmarks.databases import opened_postgres, opened_sqlite
from benchmarks.effort import Effort
from benchmarks.figure import BenchmarkFailed, Figure, at_most
from benchmarks.history_seed import SHARD, Seeded, known_of, seed
from benchmarks.page_times import page_figures
from benchmarks.timing import answer_figure, seconds_of
from scriptfleet.domain.state import State
from scriptfleet.results.heap import settle_heap
from scriptfleet.storage import distribution, series
from scriptfleet.storage.bands import bands, week
from scriptfleet.storage.engine import Database, open_store
from scriptfleet.storage.metric import Metric
from scriptfleet.storage.migrate import require_current, upgrade_open
from scriptfleet.storage.paging import PageRequest
from scriptfleet.storage.run_filter import RunFilter
from scriptfleet.storage.run_list import RunList, Wish
from scriptfleet.storage.run_store import RunStore
from scriptfleet.storage.segment_making import make_segments
from scriptfleet.storage.sorted_runs import SortBy

DEFAULT_RUNS = 1_000_000
_TIMES = 20
_DEEP_PAGES = 100
_VALUES = 10_000
#: DESIGN's budgets, milliseconds.
_ONE_SCRIPT, _WHOLE_TABLE = 100.0, 1000.0
_EXPORT_MIB = 200.0

Query = tuple[str, float | None, Callable[[Database, Seeded], object]]


def measure(effort: Effort) -> list[Figure]:
    """Seed each database once and ask all of it."""
    # As the results service does, whose answers these are.
    settle_heap()
    if effort.database is not None:
        return _of_seeded(effort.database, effort.of(_TIMES, 2))
    count = effort.runs or effort.of(DEFAULT_RUNS, 5_000)
    figures: list[Figure] = []
    for name, opened in (("SQLite", opened_sqlite), ("PostgreSQL", opened_postgres)):
        with opened() as database:
            if database is None:
                figures.append(Figure(f"history, {name}", None, "ms", at_most(_ONE_SCRIPT)))
                continue
            upgrade_open(database)
            known = seed(database, count)
            figures.append(_segments_made(database, name, count))
            figures += [_asked(database, known, name, query, effort.of(_TIMES, 2)) for query in QUERIES]
            figures += [_exported(database, name, form, count) for form in ("csv", "parquet")]
            # These come last: they have runs under way of their own.
            figures += page_figures(database, known, name, effort.of(_TIMES, 2))
    return figures


def _of_seeded(url: str, times: int) -> list[Figure]:
    """Ask a store that is there; it gets what segments it lacks, and nothing else."""
    database = open_store(url, create=False)
    require_current(database)
    known, where = known_of(database), "SQLite" if database.is_sqlite else "PostgreSQL"
    figures = [_segments_made(database, where, known.runs)]
    figures += [_asked(database, known, where, query, times) for query in QUERIES]
    database.close()
    return figures


def _segments_made(database: Database, where: str, count: int) -> Figure:
    cpu, began = time.process_time(), time.perf_counter()
    taken = make_segments(database, time.time())
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    detail = {"runs": taken, "cpu_seconds": round(cpu, 1), "runs_per_second": round(taken / seconds)}
    return Figure(f"segments of {count:,} runs, {where}", seconds, "s", detail=detail)


def _asked(database: Database, known: Seeded, where: str, query: Query, times: int) -> Figure:
    name, limit, ask = query
    ask(database, known)
    cpu = time.process_time()
    taken = [seconds_of(lambda: ask(database, known)) * 1000 for _ in range(times)]
    # Of this process, SQLite's work among it: what a busy machine adds to the rest is not in it.
    cpu_ms = (time.process_time() - cpu) * 1000 / times
    return answer_figure(f"{name}, {where}", taken, limit, runs=known.runs, cpu_ms=cpu_ms)


def _one(known: Seeded) -> Metric:
    return Metric("cpu_max", RunFilter(name=known.busiest, since=known.first_at))


def _deep_page(database: Database, known: Seeded) -> object:
    """Give the page after a hundred others: its cursor is found once, as a reader would have come by it."""
    request = _CURSORS.get(id(database))
    if request is None:
        cursor = None
        for _ in range(min(_DEEP_PAGES, known.runs // 2000)):
            cursor = RunStore(database).page(_FAILED, PageRequest(50, cursor)).next_cursor
        request = _CURSORS[id(database)] = PageRequest(50, cursor)
    return RunStore(database).page(_FAILED, request)


_FAILED = RunFilter(outcome=State.FAILED)
_CURSORS: dict[int, PageRequest] = {}


def _whole_run(database: Database, known: Seeded) -> object:
    store = RunStore(database)
    return (
        store.get(known.whole_run_id),
        store.curve(known.whole_run_id),
        list(store.output(known.whole_run_id, "stdout")),
    )


def _page(which: Callable[[Seeded], RunFilter], limit: int = 50) -> Callable[[Database, Seeded], object]:
    return lambda database, known: RunStore(database).page(which(known), PageRequest(limit))


def _one_of(name: str) -> Callable[[Database, Seeded], object]:
    return lambda database, known: distribution.aggregates(database, replace(_one(known), name=name))


def _labelled(known: Seeded, label: tuple[str, str] = SHARD) -> RunFilter:
    return RunFilter(name=known.busiest, since=known.first_at, label=label)


def _deep_values(database: Database, known: Seeded) -> object:
    metric = replace(_one(known), name="page_faults_minor")
    return list(series.values(database, metric, _VALUES, 3 * min(_VALUES, known.runs // 100)))


def _by_memory(database: Database, known: Seeded) -> object:
    return RunList(database).page(Wish(_labelled(known), by=SortBy.MEMORY), PageRequest(50))


def _of_label(label: tuple[str, str]) -> Callable[[Database, Seeded], object]:
    return lambda database, known: distribution.aggregates(
        database, Metric("page_faults_minor", _labelled(known, label))
    )


def _overall(name: str) -> Callable[[Database, Seeded], object]:
    return lambda database, _known: distribution.aggregates(database, Metric(name, RunFilter()))


QUERIES: list[Query] = [
    ("10,000 values of a script", _ONE_SCRIPT, lambda at, known: list(series.values(at, _one(known), _VALUES))),
    ("10,000 values after 30,000, no index", _ONE_SCRIPT, _deep_values),
    ("a script's year by 5 minutes", _ONE_SCRIPT, lambda at, known: series.buckets(at, _one(known), "5min")),
    ("a script's year by day", _ONE_SCRIPT, lambda at, known: series.buckets(at, _one(known), "1day")),
    ("all aggregates of a script", _ONE_SCRIPT, lambda at, known: distribution.aggregates(at, _one(known))),
    ("the same, no index", _ONE_SCRIPT, _one_of("page_faults_minor")),
    ("the same, a custom metric", _ONE_SCRIPT, _one_of("custom.rows")),
    ("the same, by a label of a tenth", _ONE_SCRIPT, _of_label(SHARD)),
    ("the same, by a label of all", _ONE_SCRIPT, _of_label(("team", "team-0"))),
    ("bands of a script's year", _ONE_SCRIPT, lambda at, known: bands(at, _one(known), 7 * 86_400)),
    ("hours of a script's week", _ONE_SCRIPT, lambda at, known: week(at, _one(known))),
    ("outcomes of a script", _ONE_SCRIPT, lambda at, known: RunStore(at).counts(RunFilter(name=known.busiest))),
    ("newest 100 runs of a script", _ONE_SCRIPT, _page(lambda known: RunFilter(name=known.busiest), 100)),
    ("failed runs of a script", _ONE_SCRIPT, _page(lambda known: RunFilter(name=known.busiest, outcome=State.FAILED))),
    ("runs of a script with a label", _ONE_SCRIPT, _page(_labelled)),
    ("the same, by memory", _ONE_SCRIPT, _by_memory),
    ("runs of a worker", _ONE_SCRIPT, _page(lambda _known: RunFilter(worker="worker-3@host-3"))),
    ("runs of a group", _ONE_SCRIPT, _page(lambda _known: RunFilter(group_name="group-7"))),
    ("runs with a label", None, _page(lambda _known: RunFilter(label=("team", "team-3")))),
    ("failed runs, first page", _ONE_SCRIPT, _page(lambda _known: _FAILED)),
    ("failed runs, page 100", _ONE_SCRIPT, _deep_page),
    ("one run, curve and output", _ONE_SCRIPT, _whole_run),
    ("percentiles of all runs", _WHOLE_TABLE, _overall("cpu_max")),
    ("all runs, no index", _WHOLE_TABLE, _overall("page_faults_minor")),
    ("all runs, a custom metric", _WHOLE_TABLE, _overall("custom.rows")),
    ("all runs by day", _WHOLE_TABLE, lambda at, _: series.buckets(at, Metric("cpu_max", RunFilter()), "1day")),
]

_EXPORT = """
import sys
from pathlib import Path
from scriptfleet.storage.engine import open_store
from scriptfleet.storage.export import export
from scriptfleet.storage.run_filter import RunFilter
written = export(open_store(sys.argv[1]), RunFilter(), None, sys.argv[2], Path(sys.argv[3]))
assert written == int(sys.argv[4]), written
# Not ru_maxrss, which is that of the process which started this one where that was larger.
peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
print(int(peak.split()[1]) / 1024)
"""


def _exported(database: Database, where: str, form: str, count: int) -> Figure:
    url = database.engine.url.render_as_string(hide_password=False)
    with tempfile.TemporaryDirectory(prefix="sf-export-") as folder:
        words = [sys.executable, "-c", _EXPORT, url, form, str(Path(folder) / "out"), str(count)]
        began = time.perf_counter()
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        seconds = time.perf_counter() - began
    if done.returncode:
        raise BenchmarkFailed(f"export to {form}: {done.stderr.strip().splitlines()[-1]}")
    detail = {"rows": count, "seconds": round(seconds, 1)}
    return Figure(f"export to {form}, {where}", float(done.stdout), "MiB", at_most(_EXPORT_MIB), detail=detail)
