"""What the overview shows of runs that go on: each with what its worker told last."""

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from scriptfleet.config import NoFleet
from scriptfleet.errors import BrokerUnreachable
from scriptfleet.queues.client import Broker
from scriptfleet.queues.connection import told_plainly
from scriptfleet.storage.run_store import RunRow


class RunningRow(NamedTuple):
    """A run that goes on; None where its worker has not told."""

    run: RunRow
    #: Percent of a core, over the whole tree.
    cpu_percent: float | None
    #: Resident, MiB.
    memory_mb: float | None
    #: What the script says of how far it is.
    said: str


def running_rows(broker: Broker, runs: Sequence[RunRow]) -> list[RunningRow]:
    """Give a row for each run; without readings where the broker is away."""
    try:
        with told_plainly(broker.url):
            told = broker.redis.hmget(broker.keys("live"), [run.job_id for run in runs]) if runs else []
    except (NoFleet, BrokerUnreachable):
        told = [None] * len(runs)
    return [_row(run, json.loads(reading) if reading else {}) for run, reading in zip(runs, told, strict=True)]


def _row(run: RunRow, reading: dict[str, Any]) -> RunningRow:
    progress = reading.get("progress")
    share = "" if progress is None else f"{100 * progress:.0f} %"
    said = " · ".join(part for part in (share, reading.get("message") or "") if part)
    return RunningRow(run, reading.get("cpu_percent"), reading.get("memory_mb"), said)
