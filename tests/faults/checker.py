"""Says what is wrong with a trial: from what its jobs stamped themselves, and from what the store recorded of them."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

SUCCEEDED = "succeeded"


@dataclass(frozen=True)
class Stamped:
    """A run as its own process wrote it down; CLOCK_BOOTTIME, seconds."""

    run_id: str
    attempt: int
    started: float
    #: Its last sign of life: its end, where it came to one.
    last: float
    has_ended: bool = False


@dataclass(frozen=True)
class Recorded:
    """A run as the store has it."""

    job_id: str
    run_id: str
    attempt: int | None
    outcome: str | None
    is_stale: bool


def read_stamps(path: Path) -> list[Stamped]:
    """Give a job's runs from its file, in the order of their starts."""
    runs: dict[str, Stamped] = {}
    for line in path.read_text().splitlines():
        word, run_id, attempt, at = line.split()
        before = runs.get(run_id, Stamped(run_id, int(attempt), float(at), float(at)))
        runs[run_id] = replace(before, last=float(at), has_ended=word == "end")
    return sorted(runs.values(), key=lambda run: run.started)


def complaints(
    stamped: Mapping[str, Sequence[Stamped]], states: Mapping[str, Sequence[str]], recorded: Iterable[Recorded]
) -> list[str]:
    """Give what is wrong, one sentence each; ``stamped`` has every job of the trial, with no runs if it never ran.

    ``states`` are the states that the store's rows of each job show.
    """
    by_job: dict[str, list[Recorded]] = defaultdict(list)
    for run in recorded:
        by_job[run.job_id].append(run)
    found = [f"job {job_id} was never asked for" for job_id in sorted({*states, *by_job} - {*stamped})]
    for job_id, runs in stamped.items():
        told = [*_of_states(states.get(job_id, ())), *_of_stamps(runs), *_of_records(runs, by_job[job_id])]
        found += [f"job {job_id} {sentence}" for sentence in told]
    return found


def _of_states(states: Sequence[str]) -> list[str]:
    if len(states) != 1:
        return [f"has {len(states)} recorded states"]
    return [] if states[0] == SUCCEEDED else [f"is recorded as {states[0]}"]


def _of_stamps(runs: Sequence[Stamped]) -> list[str]:
    found = [] if runs else ["never ran"]
    for one, other in pairwise(runs):
        if other.started < one.last:
            found.append(f"ran twice at once: {one.run_id} until {one.last}, {other.run_id} from {other.started}")
    return found


def _of_records(runs: Sequence[Stamped], recorded: Sequence[Recorded]) -> list[str]:
    counting = [run for run in recorded if run.outcome == SUCCEEDED and not run.is_stale]
    found = [] if len(counting) == 1 else [f"has {len(counting)} recorded outcomes"]
    twice = [run_id for run_id, rows in Counter(run.run_id for run in recorded).items() if rows > 1]
    found += [f"has run {run_id} recorded twice" for run_id in twice]
    by_run = {run.run_id: run for run in runs}
    for run in counting:
        seen = by_run.get(run.run_id)
        if seen is None or not seen.has_ended:
            found.append(f"has an outcome of run {run.run_id}, which did not end")
        elif seen.attempt != run.attempt:
            found.append(f"ran as attempt {seen.attempt} and is recorded as attempt {run.attempt}")
    open_runs = [run.run_id for run in recorded if run.outcome is None]
    unknown = by_run.keys() - {run.run_id for run in recorded}
    return found + [f"has run {run_id} without an outcome" for run_id in [*open_runs, *sorted(unknown)]]


def restart_seconds(stamped: Mapping[str, Sequence[Stamped]]) -> list[float]:
    """Give for each run that followed another of its job the seconds from that one's last sign of life."""
    return [other.started - one.last for runs in stamped.values() for one, other in pairwise(runs)]
