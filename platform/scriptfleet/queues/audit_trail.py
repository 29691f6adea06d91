"""What people change by commands that go to the broker: told as a fact, which the results service keeps in its log.

So a command needs no database for it, and while the database is away the fact waits as all others do.
"""

import json
import time
import uuid
from typing import TYPE_CHECKING, Any, Final

from scriptfleet.domain.event import EVENT_VERSION, EventType
from scriptfleet.queues.connection import told_plainly
from scriptfleet.queues.signing import seal_change

if TYPE_CHECKING:
    from scriptfleet.queues.client import Broker

#: Of an id list or a reason the log has so much.
_MOST_DETAIL_CHARS: Final = 4000


def tell_change(
    broker: "Broker", actor: str, address: str | None, action: str, target: str, detail: dict[str, Any]
) -> None:
    """Tell that somebody changed something. Raises BrokerUnreachable."""
    shown = detail if len(json.dumps(detail)) <= _MOST_DETAIL_CHARS else {"detail": "too long to be kept"}
    data = {
        "id": uuid.uuid4().hex,
        "actor": actor,
        "address": address,
        "action": action,
        "target": target,
        "detail": shown,
    }
    at_ms = round(time.time() * 1000)
    data["sig"] = seal_change(broker.settings.signing_key, data)
    fact = {"v": EVENT_VERSION, "t": EventType.AUDITED, "j": "", "r": 0, "at": at_ms, "d": json.dumps(data)}
    with told_plainly(broker.url):
        broker.redis.xadd(broker.keys("events"), {**fact})
