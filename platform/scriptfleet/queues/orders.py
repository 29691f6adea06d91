"""Orders to workers - stop a job, drain, cordon, uncordon - as they travel: JSON, signed when the fleet has a key."""

import json
import time
import uuid
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Self

from scriptfleet.errors import InvalidValue
from scriptfleet.queues.signing import is_sealed, seal

#: An order that is older is refused where it is signed: nobody may keep one and send it again later. A run that was not
#: told of its order for so long has lost its lease.
ORDER_LIFE_SECONDS: Final = 600.0
_PURPOSE: Final = "order"


class Verb(StrEnum):
    """What is ordered."""

    #: End the run of a job.
    STOP = "stop"
    #: Take no new job, let those that run finish for a while, then leave.
    DRAIN = "drain"
    #: Take no new job until told otherwise.
    CORDON = "cordon"
    UNCORDON = "uncordon"


@dataclass(frozen=True, slots=True)
class Order:
    """One order. ``target`` is a job's id for stop, else a worker's name."""

    verb: Verb
    target: str
    #: Wall clock of who gave it, seconds since the epoch.
    at: float
    #: Drain: how long what runs may go on, seconds; None is the worker's own setting.
    grace_seconds: float | None = None

    @classmethod
    def now(cls, verb: Verb, target: str, grace_seconds: float | None = None) -> Self:
        """Make one that is given now."""
        return cls(verb, target, time.time(), grace_seconds)

    def to_text(self, key: str) -> str:
        """Give what travels, signed if there is a key."""
        said = {"verb": self.verb, "target": self.target, "at": self.at, "grace": self.grace_seconds}
        body = json.dumps(said | {"nonce": uuid.uuid4().hex}, separators=(",", ":"))
        return json.dumps({"v": 1, "body": body, "sig": seal(key, _PURPOSE, body)}, separators=(",", ":"))

    @classmethod
    def read(cls, text: str | bytes, key: str) -> Self:
        """Read what to_text wrote. Raises InvalidValue for what is none, or not one of who has the key."""
        try:
            outer = json.loads(text)
            body, signature = str(outer["body"]), str(outer["sig"])
            said = json.loads(body)
            found = cls(Verb(said["verb"]), str(said["target"]), float(said["at"]), _seconds(said["grace"]))
        except (ValueError, KeyError, TypeError, RecursionError) as fault:
            raise InvalidValue("order", _short(text), f"an order of this version ({fault!r})") from fault
        if not is_sealed(key, signature, _PURPOSE, body):
            raise InvalidValue("order", _short(text), "one signed with this fleet's key")
        return found

    def age_seconds(self) -> float:
        """Give how long ago it was given; negative where the giver's clock is ahead."""
        return time.time() - self.at


def _seconds(said: Any) -> float | None:
    if said is None:
        return None
    grace = float(said)
    if not 0 <= grace < float("inf"):
        raise ValueError("grace is no number of seconds")
    return grace


def _short(text: str | bytes) -> str:
    return (text.decode(errors="replace") if isinstance(text, bytes) else text)[:200]
