"""Reports that could not be sent before their worker had to end: kept on disk, sent by a later worker of this home."""

import logging
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from scriptfleet_workers.folders import held, remove
from scriptfleet_workers.report import NotReadable, Report

log = logging.getLogger("scriptfleet.spool")

_FILE: Final = "report.json"
#: Folder of the reports that no server takes or this version cannot read; for people to look at.
_FAILED: Final = "failed"


class Refused(Exception):
    """A report that the server will never take; the others may do better."""


class Spool:
    """A folder of folders, one a report; whoever holds one sends it."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._failed = folder, folder / _FAILED
        self._failed.mkdir(mode=0o700, parents=True, exist_ok=True)

    def keep(self, report: Report, run_folder: Path) -> None:
        """Keep a report with its run's files. The report's own file comes last: a folder without it is not whole."""
        place = self._folder / report.run_id
        if run_folder.exists():
            shutil.move(run_folder, place)
        else:
            # A run that was refused before it had any files.
            place.mkdir(mode=0o700)
        unfinished = place / f"{_FILE}.new"
        unfinished.write_text(report.to_json())
        unfinished.replace(place / _FILE)
        log.warning("report_spooled job=%s run=%s", report.job_id, report.run_id)

    def send(self, deliver: Callable[[Report, Path], None]) -> int:
        """Deliver what is kept; give how many.

        A report that cannot be read, or whose delivery raises Refused, is set aside. Any other delivery that raises
        leaves it and the rest where they are.
        """
        return sum(self._send_one(place, deliver) for place in self._whole())

    def _whole(self) -> Iterator[Path]:
        for place in sorted(self._folder.iterdir(), key=lambda path: path.name):
            if (place / _FILE).exists():
                yield place

    def _send_one(self, place: Path, deliver: Callable[[Report, Path], None]) -> bool:
        with held(place) as is_ours:
            # Another worker may have sent it since we looked.
            if not is_ours or not (place / _FILE).exists():
                return False
            try:
                report = Report.read(place / _FILE)
                deliver(report, place)
            except (NotReadable, Refused, OSError) as fault:
                self._set_aside(place, fault)
                return False
            self._forget(place)
        log.info("report_sent_late job=%s run=%s", report.job_id, report.run_id)
        return True

    def _set_aside(self, place: Path, fault: Exception) -> None:
        aside = self._failed / place.name
        place.rename(aside)
        log.error("report_set_aside folder=%s reason=%s: move it back to have it sent again", aside, fault)

    def _forget(self, place: Path) -> None:
        # Without its own file nobody sends it again, whatever else stays.
        (place / _FILE).unlink()
        try:
            remove(place)
        except OSError as fault:
            log.warning("leftover_stays folder=%s reason=%s: delete it by hand", place, fault)
