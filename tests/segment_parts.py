"""Runs for tests of segments, which are small there; whoever imports the fixture has them so."""

from typing import Any

import pytest
import sqlalchemy as sa

from scriptfleet.storage import segment_making, segment_plan, series
from scriptfleet.storage.engine import Database
from scriptfleet.storage.tables import runs, segments

NOW = 2_000_000.0


@pytest.fixture(autouse=True)
def small_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of so few runs there would be no segment."""
    monkeypatch.setattr(segment_plan, "LEAST_RUNS", 4)
    monkeypatch.setattr(series, "_FOLDED_AT", 3)
    monkeypatch.setattr(segment_plan, "_STEPS", (10, 20))
    for module in (segment_plan, segment_making):
        monkeypatch.setattr(module, "MOST_RUNS", 20)


def run_row(number: int, began_at: float, name: str | None = "a.py", **more: Any) -> dict[str, Any]:
    measures = ("cpu_max", "page_faults_minor", "success", "execution_time_seconds", "user_time_seconds")
    columns = (*measures, "system_time_seconds", "custom", "outcome", "worker", "group_name", "queue", "kind")
    row = {"run_id": f"run-{number}", "job_id": f"job-{number}", "name": name, "began_at": began_at}
    return row | dict.fromkeys(columns) | {"outcome": "succeeded", "cpu_max": float(number)} | more


def store(database: Database, *rows: dict[str, Any]) -> None:
    with database.writing() as connection:
        connection.execute(sa.insert(runs), list(rows))


def states(database: Database) -> list[int]:
    with database.reading() as connection:
        return list(connection.scalars(sa.select(segments.c.state).order_by(segments.c.from_at)))
