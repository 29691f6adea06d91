"""Runs that are kept, by the id of a run or a job: in the fleet's store, or in the history file of ``run``."""

import json
import re
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from scriptfleet.domain.masking import shown_spec
from scriptfleet.errors import InvalidValue, JobNotFound, RunNotFound
from scriptfleet.storage.engine import Database
from scriptfleet.storage.job_store import JobStore
from scriptfleet.storage.paging import PageRequest
from scriptfleet.storage.run_filter import RunFilter
from scriptfleet.storage.run_store import RunRow, RunStore

_ID: Final = re.compile(r"[0-9a-f-]{4,36}")
#: A short id is looked for among so many of the newest runs.
_NEWEST: Final = 500


class KeptRun(NamedTuple):
    """A run, and the spec of its job as it may be shown; None where the store has not seen it."""

    run: RunRow
    spec: dict[str, Any] | None


def find(database: Database, text: str, secret_prefixes: Sequence[str] = ()) -> KeptRun:
    """Give the run of that id, or the last run of the job of that id; ids may be cut short.

    Raises InvalidValue for what is no id, or the beginning of several; RunNotFound.
    """
    if not is_id(text):
        raise InvalidValue("run", text, "the id of a run or a job, or at least its first 4 digits")
    run = _whole(database, text) or _short(database, text)
    try:
        spec = JobStore(database).get(run.job_id).spec
    except JobNotFound:
        spec = None
    return KeptRun(run, shown_spec(json.loads(spec), secret_prefixes) if spec else None)


def is_id(text: str) -> bool:
    """Tell whether a word looks like an id or its beginning."""
    return _ID.fullmatch(text) is not None


def _whole(database: Database, text: str) -> RunRow | None:
    runs = RunStore(database)
    try:
        return runs.get(text)
    except RunNotFound:
        found = runs.page(RunFilter(job_id=text), PageRequest(1)).items
        return found[0] if found else None


def _short(database: Database, text: str) -> RunRow:
    newest = RunStore(database).page(RunFilter(), PageRequest(_NEWEST)).items
    found = [run for run in newest if run.run_id.startswith(text)]
    if not found:
        # The newest of a job's runs comes first.
        by_job = {run.job_id: run for run in reversed(newest) if run.job_id.startswith(text)}
        found = list(by_job.values())
    if len(found) > 1:
        raise InvalidValue("run", text, f"more digits: {len(found)} of the newest {_NEWEST} begin so")
    if not found:
        raise RunNotFound(text)
    return found[0]
