"""A job's lane: the text of what it asks of the fleet, shared with all that ask for the same; see lua/lanes.lua."""

import json

from scriptfleet.domain.job import JobSpec


def lane_of(spec: JobSpec) -> str:
    """Give the lane: empty for a job that asks for nothing; equal wishes give equal text."""
    asked = {
        "g": spec.group,
        "c": spec.concurrency_key,
        "r": spec.rate_key,
        "l": spec.requires or None,
        "m": spec.needs_memory_mb,
    }
    said = {name: value for name, value in asked.items() if value is not None}
    return json.dumps(said, sort_keys=True, ensure_ascii=False, separators=(",", ":")) if said else ""


def memory_asked_mb(lane: str) -> float:
    """Give the memory that a job of the lane asks for, MiB; 0 for none."""
    return float(json.loads(lane).get("m", 0.0)) if lane else 0.0


def bounds_of(spec: JobSpec) -> str:
    """Give the bounds of the job's keys: jobs at once, jobs and milliseconds of the rate; empty without a key."""
    if spec.concurrency_key is None and spec.rate is None:
        return ""
    jobs, window_ms = (spec.rate.jobs, round(spec.rate.window_seconds * 1000)) if spec.rate else (0, 0)
    return f"{spec.concurrency_limit or 0} {jobs} {window_ms}"
