"""Starts processes of the fleet again when they end by themselves: later each time, and not for ever."""

import time
from dataclasses import dataclass
from typing import Final

from scriptfleet.cli.embedded.process import Process
from scriptfleet.cli.screen import note
from scriptfleet.domain.terminal_text import clean_line
from scriptfleet.errors import ScriptfleetError

_MOST_IN_A_ROW: Final = 5
_FIRST_DELAY_SECONDS: Final = 1.0
#: One that lived so long starts with a clean sheet.
_SOUND_SECONDS: Final = 60.0


@dataclass(slots=True)
class _Sheet:
    failures: int = 0
    #: Monotonic moment of the next start; None while it runs.
    start_at: float | None = None
    started_at: float = 0.0


class Restarts:
    """Remembers how often each process ended."""

    def __init__(self, first_delay_seconds: float = _FIRST_DELAY_SECONDS) -> None:
        self._first_delay = first_delay_seconds
        self._sheets: dict[str, _Sheet] = {}

    def look_after(self, process: Process) -> None:
        """Start it again when it has ended and its time has come. Raises ScriptfleetError after too many ends."""
        sheet = self._sheets.setdefault(process.name, _Sheet(started_at=time.monotonic()))
        if sheet.start_at is not None:
            self._start_when_due(process, sheet)
        elif process.exit_code is not None:
            self._plan_start(process, sheet)

    def _start_when_due(self, process: Process, sheet: _Sheet) -> None:
        if sheet.start_at is not None and time.monotonic() >= sheet.start_at:
            process.start()
            sheet.start_at, sheet.started_at = None, time.monotonic()

    def _plan_start(self, process: Process, sheet: _Sheet) -> None:
        now = time.monotonic()
        sheet.failures = 1 if now - sheet.started_at > _SOUND_SECONDS else sheet.failures + 1
        how = f"{process.name} ended by itself ({_how(process.exit_code or 0)})"
        lines = [f"  {clean_line(line, 200)}" for line in process.last_lines()]
        note("\n".join([f"{how}; its log, {process.log}, ends with:", *lines]))
        if sheet.failures > _MOST_IN_A_ROW:
            raise ScriptfleetError(f"{how} {sheet.failures} times in a row: see {process.log}")
        delay = self._first_delay * 2 ** (sheet.failures - 1)
        note(f"{process.name} is started again in {delay:g} s")
        sheet.start_at = now + delay


def _how(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"
