"""Past runs on the screen: as a table for people, as JSON for programs."""

from collections.abc import Iterator
from typing import Any, Final

from scriptfleet.cli.screen import UNKNOWN, mebibytes, moment, note, print_json, seconds
from scriptfleet.cli.tables import print_table
from scriptfleet.storage.engine import Database
from scriptfleet.storage.paging import MOST_ROWS, PageRequest
from scriptfleet.storage.run_filter import RunFilter
from scriptfleet.storage.run_store import RunRow, RunStore

_COLUMNS: Final = ("began", "run", "outcome", "name*", "try>", "exit>", "wall s>", "CPU s>", "MiB>")


def newest(database: Database, which: RunFilter, limit: int) -> Iterator[RunRow]:
    """Give at most ``limit`` runs, the last begun first, a page at a time."""
    cursor, left = None, limit
    while left > 0:
        page = RunStore(database).page(which, PageRequest(min(left, MOST_ROWS), cursor))
        yield from page.items
        cursor, left = page.next_cursor, left - len(page.items)
        if cursor is None:
            return


def print_runs(found: list[RunRow], as_json: bool, nothing: str) -> None:
    """Print runs, or the line ``nothing`` where there are none."""
    if as_json:
        print_json([_plain(run) for run in found])
    elif found:
        print_table(_COLUMNS, [_cells(run) for run in found])
    else:
        note(nothing)


def _plain(run: RunRow) -> dict[str, Any]:
    return {
        "run_id": run.run_id,
        "job_id": run.job_id,
        "name": run.name,
        "kind": run.kind,
        "attempt": run.attempt,
        "outcome": None if run.outcome is None else str(run.outcome),
        "metrics": run.usage.to_dict(),
    }


def _cells(run: RunRow) -> tuple[str, ...]:
    usage = run.usage
    return (
        moment(run.began_at)[5:16],
        run.run_id[:8],
        str(run.outcome or UNKNOWN),
        run.name or UNKNOWN,
        str(run.attempt or UNKNOWN),
        UNKNOWN if usage.exit_code is None else str(usage.exit_code),
        seconds(usage.execution_time_seconds),
        seconds(usage.cpu_seconds),
        mebibytes(usage.memory_max_mb),
    )
