"""How fast pages come from a real results service over a seeded history, with a thousand runs under way."""

import os
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import httpx
import sqlalchemy as sa

from benchmarks.figure import BenchmarkFailed, Figure
from benchmarks.history_seed import Seeded
from benchmarks.process import check_alive, started
from benchmarks.server import Server, running_server
from benchmarks.timing import answer_figure
from benchmarks.waiting import until
from scriptfleet.domain.ids import new_job_id, new_run_id
from scriptfleet.storage.engine import Database
from scriptfleet.storage.paging import PageRequest
from scriptfleet.storage.run_filter import RunFilter
from scriptfleet.storage.run_store import RunStore
from scriptfleet.storage.tables import runs

LIVE_RUNS: Final = 1_000
_BUDGET_MS: Final = 300.0
_DEEP_PAGES, _DEEP_ROWS = 20, 500
#: The overview is made anew once a second, whoever looks: each time that is taken is one of making it.
_FRESH_SECONDS: Final = 1.05


def page_figures(database: Database, known: Seeded, where: str, times: int) -> list[Figure]:
    """Ask each page some times. Raises BenchmarkFailed."""
    _begin_runs(database, known)
    with running_server() as broker, _service(broker, database) as client:
        return [_asked(client, name, path, where, times) for name, path in _pages(database, known)]


def _begin_runs(database: Database, known: Seeded) -> None:
    now = time.time()
    rows = [
        {
            "run_id": new_run_id(),
            "job_id": new_job_id(),
            "name": known.busiest,
            "kind": "shell",
            "queue": "default",
            "worker": f"worker-{number % 16}@host-{number % 8}",
            "attempt": 1,
            "claimed_at": now - number,
            "began_at": now - number,
        }
        for number in range(LIVE_RUNS)
    ]
    with database.writing() as connection:
        connection.execute(sa.insert(runs), rows)


def _pages(database: Database, known: Seeded) -> list[tuple[str, str]]:
    cursor = None
    for _ in range(min(_DEEP_PAGES, known.runs // (2 * _DEEP_ROWS))):
        cursor = RunStore(database).page(RunFilter(), PageRequest(_DEEP_ROWS, cursor)).next_cursor
    return [
        (f"overview, {LIVE_RUNS:,} live runs", "/"),
        ("runs, first page", "/runs"),
        ("runs, 10,000 further on", f"/runs?cursor={cursor}"),
        ("failed runs", "/runs?outcome=failed"),
        ("runs by time", "/runs?sort=wall"),
        ("runs of a queue, by memory", "/runs?queue=default&sort=memory"),
        ("runs with a label", "/runs?label=team%3Dteam-3"),
        ("runs searched by name", "/runs?search=script_01"),
        ("a script's 30 days", f"/script?name={known.busiest}"),
        ("a script's year", f"/script?name={known.busiest}&days=365"),
        ("one run", f"/runs/{known.whole_run_id}"),
    ]


@contextmanager
def _service(broker: Server, database: Database) -> Iterator[httpx.Client]:
    log = broker.folder / "results.log"
    env = {name: value for name, value in os.environ.items() if not name.startswith("SCRIPTFLEET_")} | {
        "SCRIPTFLEET_HOME": str(broker.folder / "home"),
        "SCRIPTFLEET_REDIS_URL": broker.url,
        "SCRIPTFLEET_DATABASE_URL": database.engine.url.render_as_string(hide_password=False),
    }
    with started([sys.executable, "-m", "scriptfleet.results", "--port", "0"], log, env) as process:

        def address() -> str | None:
            check_alive(process, log)
            return _address_in(log)

        until(address, "the results service to listen")
        with httpx.Client(base_url=_address_in(log) or "", timeout=60.0) as client:
            yield client


def _address_in(log: Path) -> str | None:
    found = re.search(r"listening on (http://\S+)", log.read_text())
    return found[1] if found else None


def _asked(client: httpx.Client, name: str, path: str, where: str, times: int) -> Figure:
    taken: list[float] = []
    for _ in range(times + 1):
        if path == "/":
            time.sleep(_FRESH_SECONDS)
        began = time.perf_counter()
        answer = client.get(path)
        taken.append((time.perf_counter() - began) * 1000)
        if answer.status_code != httpx.codes.OK:
            raise BenchmarkFailed(f"{path}: status {answer.status_code}")
    # The first one loads templates.
    return answer_figure(f"page: {name}, {where}", taken[1:], _BUDGET_MS, bytes=len(answer.content))
