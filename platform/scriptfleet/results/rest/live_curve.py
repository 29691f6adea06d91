"""The curve of a run that goes on, as its worker told it last: thinned, so that telling it stays cheap."""

import json
from collections.abc import Mapping
from typing import Any

from scriptfleet.config import NoFleet
from scriptfleet.domain.sample import Sample
from scriptfleet.queues.client import Broker
from scriptfleet.queues.connection import told_plainly
from scriptfleet.storage.run_store import RunRow


def live_curve(broker: Broker, run: RunRow) -> list[Sample]:
    """Give the curve so far, and have the worker tell it each second for a while. Raises BrokerUnreachable."""
    try:
        with told_plainly(broker.url):
            broker.close_looks.look(run.job_id)
            said = broker.redis.hget(broker.keys("live"), run.job_id)
            claim = broker.redis.hget(broker.keys("job", run.job_id), "claim")
    except NoFleet:
        return []
    # The job may be at its next attempt by now.
    return curve_in(json.loads(said)) if said and claim == run.run_id.encode() else []


def curve_in(reading: Mapping[str, Any]) -> list[Sample]:
    """Give the curve of a worker's last reading; a newer worker's points may have more numbers."""
    return [Sample(*point[: len(Sample._fields)]) for point in reading.get("curve", ())]
