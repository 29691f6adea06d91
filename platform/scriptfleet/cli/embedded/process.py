"""One process of the embedded fleet: started with its log, ended politely, then by force."""

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from scriptfleet.cli.embedded import tether
from scriptfleet.config import python_executable

#: A log longer than this is set aside at the next start, in place of the one set aside before.
_LONGEST_LOG_BYTES: Final = 4 * 1024 * 1024
_END_BYTES: Final = 8192


class Process:
    """A command of the fleet, started again as often as its owner says."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        log: Path,
        folder: Path,
        kept_open: Sequence[int] = (),
        when_orphaned: signal.Signals = signal.SIGTERM,
    ) -> None:
        """Take what it needs; ``kept_open`` descriptors stay open in it, ``when_orphaned`` comes when we are killed."""
        self.name, self.log = name, log
        self.command = list(command)
        self._environment, self._folder, self._kept_open = dict(environment), folder, tuple(kept_open)
        self._when_orphaned = when_orphaned
        self._process: subprocess.Popen[bytes] | None = None
        self._log_begins = 0

    def start(self) -> None:
        """Start it, apart from this terminal's signals and bound to this process's life."""
        _set_aside(self.log)
        with self.log.open("ab") as log:
            self._log_begins = log.tell()
            bound = [tether.__file__, str(os.getpid()), str(int(self._when_orphaned))]
            self._process = subprocess.Popen(
                [python_executable(), "-S", "-E", *bound, *self.command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment,
                cwd=self._folder,
                start_new_session=True,
                pass_fds=self._kept_open,
            )

    @property
    def exit_code(self) -> int | None:
        """How it ended, as subprocess gives it; None while it runs."""
        return None if self._process is None else self._process.poll()

    @property
    def is_running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def ask_to_end(self) -> None:
        """Send SIGTERM."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL and wait."""
        self._signal(signal.SIGKILL)
        if self._process is not None:
            self._process.wait()

    def wait(self, seconds: float) -> bool:
        """Wait for the end; tell whether it came."""
        if self._process is None:
            return True
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def logged(self) -> str:
        """Give what it logged since its start; of much, the end."""
        with self.log.open("rb") as log:
            length = log.seek(0, os.SEEK_END)
            log.seek(max(self._log_begins, length - _END_BYTES))
            return log.read().decode(errors="replace")

    def last_lines(self, count: int = 5) -> list[str]:
        """Give the last lines of its log."""
        return [line for line in self.logged().splitlines() if line.strip()][-count:]

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)


def _set_aside(log: Path) -> None:
    if log.exists() and log.stat().st_size > _LONGEST_LOG_BYTES:
        log.replace(log.with_suffix(".log.1"))
