"""Alerts that were raised for a run."""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from scriptfleet.errors import InvalidValue, RunNotFound
from scriptfleet.storage import storable
from scriptfleet.storage.engine import Database
from scriptfleet.storage.tables import run_alerts, runs


def save_alerts(database: Database, run_id: str, alerts: Sequence[Mapping[str, Any]], now: float) -> int:
    """Add alerts to those that a run has; give how many. Raises RunNotFound, InvalidValue, StoreUnreachable."""
    rows = [_row(alert) for alert in alerts]
    with database.writing() as connection:
        if connection.scalar(sa.select(runs.c.run_id).where(runs.c.run_id == run_id)) is None:
            raise RunNotFound(run_id)
        last = sa.select(sa.func.coalesce(sa.func.max(run_alerts.c.number), 0)).where(run_alerts.c.run_id == run_id)
        first = int(connection.scalar(last) or 0) + 1
        for number, row in enumerate(rows, first):
            connection.execute(sa.insert(run_alerts).values(run_id=run_id, number=number, raised_at=now, **row))
    return len(rows)


def _row(alert: object) -> dict[str, Any]:
    if not isinstance(alert, Mapping):
        raise InvalidValue("alert", alert, "a dict with the alert's name and severity")
    name, severity = (alert.get(key) for key in ("name", "severity"))
    return {
        "name": None if name is None else storable.text(str(name)),
        "severity": None if severity is None else storable.text(str(severity)),
        "details": storable.json_value(dict(alert)),
    }
