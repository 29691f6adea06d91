"""Reports that could not be sent before their worker had to end: kept on disk, sent by the next worker of this home."""

import logging
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from scriptfleet_workers.report import Report

log = logging.getLogger("scriptfleet.spool")

_FILE: Final = "report.json"


class Spool:
    """A folder of folders, one a report; whoever can rename one has it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def keep(self, report: Report, run_folder: Path) -> None:
        """Keep a report with its run's files. The report's own file comes last: a folder without it is not whole."""
        place = self._folder / report.run_id
        shutil.move(run_folder, place)
        unfinished = place / f"{_FILE}.new"
        unfinished.write_text(report.to_json())
        unfinished.replace(place / _FILE)
        log.warning("report_spooled job=%s run=%s", report.job_id, report.run_id)

    def send(self, deliver: Callable[[Report, Path], None]) -> int:
        """Deliver what is kept, oldest first; give how many. A delivery that raises leaves the rest where they are."""
        sent = 0
        for place in self._taken():
            try:
                report = Report.read(place / _FILE)
            except (OSError, ValueError, TypeError) as fault:
                log.warning("report_not_readable folder=%s reason=%r", place, fault)
                continue
            try:
                deliver(report, place)
            except BaseException:
                place.rename(self._folder / report.run_id)
                raise
            shutil.rmtree(place, ignore_errors=True)
            log.info("report_sent_late job=%s run=%s", report.job_id, report.run_id)
            sent += 1
        return sent

    def _taken(self) -> Iterator[Path]:
        """Rename each folder to one that bears our number, so that no two workers send one; also from dead ones."""
        for folder in sorted(self._folder.iterdir(), key=lambda path: path.name):
            name, _, holder = folder.name.partition(".")
            if holder and (holder == str(os.getpid()) or Path("/proc", holder).exists()):
                continue
            if not (folder / _FILE).exists():
                continue
            ours = folder.with_name(f"{name}.{os.getpid()}")
            try:
                folder.rename(ours)
            except FileNotFoundError:
                continue
            yield ours
