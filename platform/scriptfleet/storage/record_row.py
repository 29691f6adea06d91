"""The row of a run from its record as it travelled. Pure.

Straight from the JSON data, without a RunRecord: this is the innermost part of the ingest. What RunRecord.from_dict()
refuses is refused here too.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from scriptfleet.domain.process_tree import ProcessTree
from scriptfleet.domain.run import Artifact, require_known_version
from scriptfleet.domain.sample import joined
from scriptfleet.domain.state import State
from scriptfleet.errors import InvalidValue
from scriptfleet.storage import curve_bytes, storable, tree_bytes
from scriptfleet.storage.row import Row

STREAMS = ("stdout", "stderr")

_NEEDED = frozenset({"run_id", "job_id", "attempt", "worker", "host", "outcome", "usage", "stdout", "stderr"})
_LAST_YEAR = 9999


def checked_record(data: Mapping[str, Any]) -> Mapping[str, Any]:
    """Give a record back that has all it needs; raises InvalidValue for a newer version, KeyError for what lacks."""
    require_known_version(data)
    if not data.keys() >= _NEEDED:
        raise KeyError(*sorted(_NEEDED - data.keys()))
    return data


def finished_row(record: Mapping[str, Any], is_stale: object, moment: float) -> Row:
    """Give what a record says in columns of ``runs``: those that are known. ``moment`` is when it was told, seconds."""
    if not isinstance(is_stale, bool):
        raise InvalidValue("stale", is_stale, "true or false")
    usage = record["usage"]
    return {
        "attempt": storable.small_integer("attempt", record["attempt"]),
        "worker": storable.text(record["worker"]),
        "host": storable.text(record["host"]),
        "queue": storable.text(record.get("queue")),
        "outcome": str(State(record["outcome"])),
        "is_stale": is_stale,
        "started_at": _moment(usage.get("start_time")),
        "finished_at": moment,
        **storable.measures(usage),
        "output_data": storable.json_value(record.get("output_data")),
        "stdout_cut_bytes": storable.integer("cut_bytes", record["stdout"].get("cut_bytes", 0)),
        "stderr_cut_bytes": storable.integer("cut_bytes", record["stderr"].get("cut_bytes", 0)),
        "artifacts": [storable.artifact(Artifact.from_dict(one)) for one in record.get("artifacts", [])],
    }


def curve_row(record: Mapping[str, Any], run_id: str) -> Row | None:
    """Give the row of a record's curve, with the processes of the run; None where it has no curve."""
    samples = joined(record.get("curve", []), record.get("curve_io"))
    tree = ProcessTree.from_dict(told) if (told := record.get("process_tree")) else None
    if not samples:
        return None
    packed = curve_bytes.pack([storable.sample(one) for one in samples])
    kept = tree_bytes.pack(storable.process_tree(tree)) if tree else None
    return {"run_id": run_id, "packed": packed, "process_tree": kept}


def tails_of(record: Mapping[str, Any]) -> dict[str, str]:
    """Give the ends of both streams by name, without those that are empty."""
    found = {stream: storable.text(record[stream]["text"]) for stream in STREAMS}
    return {stream: content for stream, content in found.items() if content}


def _moment(start_time: object) -> float | None:
    # fromisoformat() refuses with a TypeError what is no text.
    try:
        parsed = datetime.fromisoformat(start_time) if start_time else None  # type: ignore[arg-type]
    except ValueError:
        return None
    # At the ends of the calendar, another zone's moment has no year that can be shown.
    return parsed.timestamp() if parsed and parsed.tzinfo and 1 < parsed.year < _LAST_YEAR else None
