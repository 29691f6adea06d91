"""Signatures of specs, orders and facts: who can write to the broker can run code; with a key, only who has it can.

A spec's signature says until when it is good, and the server remembers for as long which jobs have ended: one that is
written again, word for word, after its record is gone is known by that, and after that by its age.
"""

import hashlib
import hmac
import json
import re
from typing import Any, Final

_VERSION: Final = "2"
#: Version, the moment until which it is good in milliseconds since the epoch, and the seal. As in lua/spent.lua.
_SIGNATURE: Final = re.compile(r"2:(\d{1,14}):([0-9a-f]{64})", re.ASCII)


def sign(key: str, job_id: str, spec: str, until: float) -> str:
    """Sign a spec as the one of this job, good until a moment in seconds since the epoch; empty without a key."""
    until_ms = str(round(until * 1000))
    return f"{_VERSION}:{until_ms}:{seal(key, 'spec', job_id, until_ms, spec)}" if key else ""


def is_genuine(key: str, job_id: str, spec: str, signature: str) -> bool:
    """Tell whether the signature is one of this spec and job, however old; without a key every spec is taken."""
    found = _SIGNATURE.fullmatch(signature)
    return not key or (found is not None and is_sealed(key, found[2], "spec", job_id, found[1], spec))


def good_until(signature: str) -> float:
    """Give the moment until which a signature is good, seconds since the epoch; 0 for what is none."""
    found = _SIGNATURE.fullmatch(signature)
    return int(found[1]) / 1000 if found else 0.0


def seal_record(key: str, job_id: str, run_id: str, record: str) -> str:
    """Sign a run's record, given as JSON; empty without a key."""
    return seal(key, "record", job_id, run_id, _canonical(json.loads(record))) if key else ""


def is_fact_genuine(key: str, kind: str, job_id: str, data: dict[str, Any]) -> bool:
    """Tell whether a fact was told by who has the key; without a key every one is taken.

    Records and output are: workers sign them; and changes by commands. What the server tells of its moves cannot be.
    """
    if not key or kind not in ("finished", "output", "audited"):
        return True
    if kind == "audited":
        return is_sealed(key, str(data.get("sig")), *_of_change(data))
    run_id, given = str(data.get("run_id")), str(data.get("sig"))
    if kind == "finished":
        return is_sealed(key, given, "record", job_id, run_id, _canonical(data.get("record")))
    return is_sealed(key, given, *_of_output(job_id, run_id, data))


def seal_output(key: str, job_id: str, run_id: str, data: dict[str, Any]) -> str:
    """Sign a piece of output, as it travels; empty without a key."""
    return seal(key, *_of_output(job_id, run_id, data))


def seal_change(key: str, data: dict[str, Any]) -> str:
    """Sign what somebody changed, as it travels; empty without a key."""
    return seal(key, *_of_change(data))


def seal(key: str, *parts: str) -> str:
    """Sign parts, the last of which may have any characters and the others no line feed; empty without a key."""
    if not key:
        return ""
    return hmac.new(key.encode(), "\n".join(parts).encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()


def is_sealed(key: str, signature: str, *parts: str) -> bool:
    """Tell whether the signature is that of the parts; without a key every one is."""
    # As bytes: a signature that is not ASCII is to be refused, not to be an error.
    given = signature.encode("utf-8", "surrogatepass")
    return not key or hmac.compare_digest(seal(key, *parts).encode(), given)


def _canonical(data: Any) -> str:
    return json.dumps(data, sort_keys=True, separators=(",", ":"))


def _of_change(data: dict[str, Any]) -> tuple[str, ...]:
    return "change", _canonical({name: said for name, said in data.items() if name != "sig"})


def _of_output(job_id: str, run_id: str, data: dict[str, Any]) -> tuple[str, ...]:
    # Of the parts that travel, none may have a line feed in it: as JSON they have none.
    return "output", job_id, run_id, json.dumps([data.get("stream"), data.get("number"), data.get("body")])
