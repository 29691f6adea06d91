"""What a record says of its run, from its data as it travelled. Pure.

Straight from the JSON data, without a RunRecord. What RunRecord.from_dict() refuses is refused here too.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from scriptfleet.domain.process_tree import ProcessTree
from scriptfleet.domain.run import Artifact, require_known_version
from scriptfleet.domain.sample import joined
from scriptfleet.domain.state import State
from scriptfleet.domain.usage import MEASURES
from scriptfleet.storage import curve_bytes, storable, tree_bytes
from scriptfleet.storage.run_row import RecordSaid

STREAMS = ("stdout", "stderr")

_NEEDED = frozenset({"run_id", "job_id", "attempt", "worker", "host", "outcome", "usage", "stdout", "stderr"})
_LAST_YEAR = 9999


def read_record(record: Mapping[str, Any]) -> RecordSaid:
    """Read a record; raises InvalidValue, KeyError, TypeError or ValueError for what is none, or of a newer version."""
    require_known_version(record)
    if not record.keys() >= _NEEDED:
        raise KeyError(*sorted(_NEEDED - record.keys()))
    usage = record["usage"]
    known = storable.measures(usage)
    curve, tree = _curve(record)
    return RecordSaid(
        run_id=storable.needed_text("run_id", record["run_id"]),
        attempt=storable.small_integer("attempt", record["attempt"]),
        worker=storable.text(record["worker"]),
        host=storable.text(record["host"]),
        queue=storable.text(record.get("queue")),
        outcome=State(record["outcome"]),
        started_at=moment_of(usage.get("start_time")),
        measures=tuple(map(known.get, MEASURES)),
        custom=storable.custom(usage),
        output_data=storable.json_value(record.get("output_data")),
        stdout_cut_bytes=storable.integer("cut_bytes", record["stdout"].get("cut_bytes", 0)),
        stderr_cut_bytes=storable.integer("cut_bytes", record["stderr"].get("cut_bytes", 0)),
        artifacts=[storable.artifact(Artifact.from_dict(one)) for one in record.get("artifacts", [])],
        curve=curve,
        process_tree=tree,
        tails=_tails(record),
    )


def moment_of(start_time: object) -> float | None:
    """Give a moment in ISO 8601 in seconds since the epoch; None for what is none. Raises TypeError for no text."""
    # fromisoformat() refuses with a TypeError what is no text.
    try:
        parsed = datetime.fromisoformat(start_time) if start_time else None  # type: ignore[arg-type]
    except ValueError:
        return None
    # At the ends of the calendar, another zone's moment has no year that can be shown.
    return parsed.timestamp() if parsed and parsed.tzinfo and 1 < parsed.year < _LAST_YEAR else None


def _curve(record: Mapping[str, Any]) -> tuple[bytes | None, bytes | None]:
    """Give the curve and the processes, packed; both None where there is no curve."""
    samples = joined(record.get("curve", []), record.get("curve_io"))
    tree = ProcessTree.from_dict(told) if (told := record.get("process_tree")) else None
    if not samples:
        return None, None
    packed = curve_bytes.pack([storable.sample(one) for one in samples])
    return packed, tree_bytes.pack(storable.process_tree(tree)) if tree else None


def _tails(record: Mapping[str, Any]) -> dict[str, str]:
    found = {stream: storable.text(record[stream]["text"]) for stream in STREAMS}
    return {stream: content for stream, content in found.items() if content}
