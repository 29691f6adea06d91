"""The history of ``run`` seen through the store: past runs, how much there is, forgetting. Imported when needed."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from scriptfleet.cli.run_table import newest, print_runs
from scriptfleet.cli.run_wishes import HistoryPlace
from scriptfleet.cli.screen import moment, print_facts, print_json
from scriptfleet.config import without_password
from scriptfleet.domain.event import Event
from scriptfleet.errors import StoreUnreachable
from scriptfleet.storage import migrate
from scriptfleet.storage.engine import Database
from scriptfleet.storage.ingest_store import IngestStore
from scriptfleet.storage.local_history import LocalHistory
from scriptfleet.storage.retention import forget, totals
from scriptfleet.storage.run_filter import RunFilter
from scriptfleet.storage.run_store import RunStore

_DAY_SECONDS: Final = 86_400
_MIB: Final = 1 << 20


def show(place: HistoryPlace, name: str | None, days: int, limit: int, as_json: bool) -> None:
    """Print past runs, the newest first. Raises StoreUnreachable when there is no history."""
    with opened(place) as database:
        which = RunFilter(name=name, since=max(0.0, time.time() - days * _DAY_SECONDS))
        found = list(newest(database, which, limit))
    print_runs(found, as_json, f"no runs in the last {days} days")


def show_totals(place: HistoryPlace, as_json: bool) -> None:
    """Print how much there is. Raises StoreUnreachable when there is no history."""
    with opened(place) as database:
        found, outcomes = totals(database), RunStore(database).counts(RunFilter())
    facts: dict[str, Any] = {
        "database": str(place.path or without_password(place.url)),
        "size_bytes": place.path.stat().st_size if place.path else None,
        "jobs": found.jobs,
        "runs": found.runs,
        "outcomes": outcomes,
        "output_bytes": found.output_bytes,
        "first_began_at": found.first_began_at,
        "last_began_at": found.last_began_at,
    }
    if as_json:
        print_json(facts)
    else:
        print_facts(_shown(facts))


def clean_up(place: HistoryPlace, days: int) -> int:
    """Delete jobs that ended more than so many days ago, and give how many. Raises StoreUnreachable."""
    with opened(place) as database:
        gone = forget(database, time.time() - days * _DAY_SECONDS)
    if gone and place.path is not None:
        LocalHistory(place.path).shrink()
    return gone


def add(place: HistoryPlace, events: Sequence[Event], secret_prefixes: Sequence[str], before: float | None) -> None:
    """Take facts into the history and, with ``before``, forget what ended earlier. Raises StoreUnreachable."""
    with opened(place) as database:
        IngestStore(database, secret_prefixes).apply(events)
        if before is not None:
            forget(database, before)


@contextmanager
def opened(place: HistoryPlace) -> Iterator[Database]:
    """Open the history of ``run``. Raises StoreUnreachable when there is none."""
    if place.path is not None and not place.path.exists():
        # Opening would make an empty one.
        raise StoreUnreachable(
            str(place.path), "no such file: `scriptfleet run SCRIPT` makes it, --history-db names it"
        )
    # A file of one's own is brought up to date in passing; a shared database is its owner's to upgrade.
    with migrate.opened(place.url, upgrades=place.path is not None) as database:
        yield database


def _shown(facts: dict[str, Any]) -> dict[str, str]:
    outcomes = ", ".join(f"{count} {name}" for name, count in sorted(facts["outcomes"].items()))
    size = facts["size_bytes"]
    return {
        "database": facts["database"],
        "size": "" if size is None else f"{size / _MIB:.1f} MiB",
        "jobs": f"{facts['jobs']:,}",
        "runs": f"{facts['runs']:,}{f' ({outcomes})' if outcomes else ''}",
        "output": f"{facts['output_bytes'] / _MIB:.1f} MiB compressed",
        "first run": moment(facts["first_began_at"]),
        "last run": moment(facts["last_began_at"]),
    }
