"""Secrets that a program prints, such as the client of a vault."""

import os
import signal
import subprocess
from collections.abc import Iterable, Sequence
from typing import Final

from scriptfleet.errors import EngineFailed
from scriptfleet.execution.secret_sources.folder import text_of
from scriptfleet.late_log import late_log

log = late_log("scriptfleet.secrets")

_PATIENCE_SECONDS: Final = 5.0


class CommandSecrets:
    """Runs a program with the secret's name as its last argument. No shell reads any of it."""

    def __init__(self, command: Sequence[str], patience_seconds: float = _PATIENCE_SECONDS) -> None:
        self._command, self._patience_seconds = list(command), patience_seconds

    def get(self, name: str, /) -> str | None:
        """Give what it prints without the last line break; None when it ends with another code than 0.

        Raises EngineFailed when it cannot be started or does not end in time; then it is killed with all it started.
        """
        try:
            process = subprocess.Popen(
                [*self._command, name],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError as fault:
            raise EngineFailed(f"{self._shown()} cannot be run ({fault}): correct the setting") from fault
        content = self._answer(process, name)
        if process.returncode:
            log.info("secret_not_given name=%s exit=%d", name, process.returncode)
            return None
        return text_of(name, content)

    def places(self, name: str, /) -> Iterable[str]:
        """Give the command line."""
        return (f"the output of `{self._command[0]} … {name}`",)

    def _answer(self, process: "subprocess.Popen[bytes]", name: str) -> bytes:
        with process:
            try:
                return process.communicate(timeout=self._patience_seconds)[0]
            except subprocess.TimeoutExpired as fault:
                # What it started may hold the pipe open when it is gone itself.
                os.killpg(process.pid, signal.SIGKILL)
                seconds = f"{self._patience_seconds:g} s"
                raise EngineFailed(f"{self._shown()} gave no answer for secret {name} within {seconds}") from fault

    def _shown(self) -> str:
        return f"{self._command[0]} (SCRIPTFLEET_SECRETS_COMMAND)"
