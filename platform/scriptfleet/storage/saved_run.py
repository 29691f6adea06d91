"""A run that a program saves, told as a broker and a worker would tell it: the same facts, the same rows."""

import json
import socket
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from scriptfleet.domain import check
from scriptfleet.domain.event import Event, EventType
from scriptfleet.domain.ids import new_job_id, new_run_id
from scriptfleet.domain.job import SPEC_VERSION
from scriptfleet.domain.run import OutputTail, RunRecord
from scriptfleet.domain.state import State
from scriptfleet.domain.usage import MEASURES, Usage
from scriptfleet.errors import InvalidValue
from scriptfleet.storage import storable
from scriptfleet.storage.metric import CUSTOM
from scriptfleet.storage.row import MEASURE_TYPES

_NAMES: Final = ("script_path", "script_name", "script")
_OUTPUTS: Final = ("stdout", "stderr")
_OUTCOMES: Final = {
    "Timeout": State.TIMED_OUT,
    "MemoryLimit": State.OUT_OF_MEMORY,
    "Cancelled": State.CANCELLED,
    "WorkerLost": State.LOST,
}


def saved_facts(given: Mapping[str, Any], now: float) -> tuple[str, list[Event]]:
    """Give the run's id and the facts. Raises InvalidValue."""
    job_id, run_id, name = new_job_id(), new_run_id(), _name(given)
    usage, rest = _usage(given, now)
    # No job that could run: its script's bytes are not known here.
    spec = {"v": SPEC_VERSION, "kind": "python_script", "name": name, "config": {}}
    host = socket.gethostname()
    record = RunRecord(
        run_id=run_id,
        job_id=job_id,
        attempt=1,
        worker=f"saved@{host}",
        host=host,
        outcome=_outcome(usage),
        usage=usage,
        stdout=OutputTail(rest.pop("stdout", "")),
        stderr=OutputTail(rest.pop("stderr", "")),
        output_data={"metrics": rest} if rest else None,
    )
    end = {"run_id": run_id, "record": record.to_dict(), "state": str(record.outcome), "stale": False}
    submitted = {"spec": json.dumps(spec), "state": str(State.QUEUED)}
    return run_id, [
        Event("saved-1", EventType.SUBMITTED, job_id, 1, _began_ms(usage), submitted),
        Event("saved-2", EventType.FINISHED, job_id, 2, _ended_ms(usage), end),
    ]


def _began_ms(usage: Usage) -> int:
    return max(0, round(datetime.fromisoformat(str(usage.start_time)).timestamp() * 1000))


def _ended_ms(usage: Usage) -> int:
    if usage.end_time is not None:
        return max(0, round(datetime.fromisoformat(usage.end_time).timestamp() * 1000))
    return _began_ms(usage) + round((usage.execution_time_seconds or 0.0) * 1000)


def _name(given: Mapping[str, Any]) -> str:
    name = next((given[key] for key in _NAMES if given.get(key)), None)
    if name is None:
        raise InvalidValue("script_name", None, "the script's name: save_execution(script_name, metrics)")
    return check.text("script_name", str(name), 255)


def _usage(given: Mapping[str, Any], now: float) -> tuple[Usage, dict[str, Any]]:
    measures: dict[str, Any] = {}
    custom: dict[str, float] = {}
    rest: dict[str, Any] = {}
    for name, value in _flat(given).items():
        if value is None or name in _NAMES:
            continue
        if name in MEASURES:
            measures[name] = _measure(name, value)
        elif name != "timestamp" and storable.is_finite(value):
            custom[name.removeprefix(CUSTOM)] = float(value)
        else:
            rest[name] = value if name == "timestamp" else _output(name, value)
    began = measures.pop("start_time", None) or _moment("timestamp", rest.pop("timestamp", None), now)
    return Usage(start_time=began, **measures, custom=custom), rest


def _flat(given: Mapping[str, Any]) -> dict[str, Any]:
    """Take what is nested under ``metrics`` or ``custom`` out."""
    flat = {str(key): value for key, value in given.items()}
    for nested in ("metrics", "custom"):
        if isinstance(flat.get(nested), Mapping):
            flat |= {str(key): value for key, value in flat.pop(nested).items()}
    return flat


def _measure(name: str, value: object) -> object:
    if name in {"start_time", "end_time"}:
        return _moment(name, value, None)
    kind = MEASURE_TYPES[name]
    if kind is int and isinstance(value, float) and value.is_integer():
        return int(value)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise InvalidValue(name, value, {str: "text", bool: "true or false"}.get(kind, "a number"))
    return value


def _moment(name: str, value: object, default: float | None) -> str:
    try:
        if value is None and default is not None:
            value = default
        if isinstance(value, int | float):
            value = datetime.fromtimestamp(value, UTC)
        found = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).isoformat()
    except (ValueError, OverflowError, OSError) as fault:
        raise InvalidValue(name, value, "a moment as ISO 8601") from fault


def _output(name: str, value: object) -> object:
    if name in _OUTPUTS:
        return str(value)
    # Whatever it is, it is kept as JSON has it.
    return json.loads(json.dumps(value, default=str))


def _outcome(usage: Usage) -> State:
    if usage.error_type in _OUTCOMES:
        return _OUTCOMES[usage.error_type]
    has_failed = usage.success is False or (usage.success is None and usage.exit_code not in {None, 0})
    return State.FAILED if has_failed else State.SUCCEEDED
