"""Tells, while a fleet stops, which runs it waits for."""

import sys
import time
from typing import Final

from scriptfleet.cli import live_jobs
from scriptfleet.cli.screen import note
from scriptfleet.config import Settings
from scriptfleet.domain.state import State
from scriptfleet.domain.terminal_text import clean_line
from scriptfleet.errors import ScriptfleetError
from scriptfleet.storage.job_store import JobFilter

_EVERY_SECONDS: Final = 2.0
_MOST_NAMED: Final = 3
_MOST_ASKED: Final = 100


class Unfinished:
    """The runs of one worker, told again every 2 s on a terminal and once elsewhere."""

    def __init__(self, settings: Settings, worker_name: str) -> None:
        self._settings, self._worker_name = settings, worker_name
        self._next_at = 0.0

    def tell(self) -> None:
        """Say what is waited for, when it is time to."""
        now = time.monotonic()
        if now < self._next_at:
            return
        self._next_at = now + _EVERY_SECONDS if sys.stderr.isatty() else float("inf")
        if names := self.names():
            note(_sentence(names))

    def names(self) -> list[str]:
        """Give the runs, each by name and the beginning of its job's id; none when the broker cannot say."""
        try:
            jobs = live_jobs.newest(self._settings, JobFilter(state=State.RUNNING), _MOST_ASKED)
        except ScriptfleetError as fault:
            note(f"scriptfleet: {fault}")
            return []
        ours = [job for job in jobs if (job["worker"] or "").startswith(f"{self._worker_name}@")]
        return [f"{clean_line(job['name'] or '', 40)} {job['job_id'][:8]}" for job in ours]


def _sentence(names: list[str]) -> str:
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return f"waiting for {len(names)} run{'' if len(names) == 1 else 's'}: {', '.join(names[:_MOST_NAMED])}{more}"
