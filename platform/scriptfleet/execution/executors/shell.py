"""Shell commands and shell scripts."""

import time
from typing import Final

from scriptfleet.domain.job import JobSpec
from scriptfleet.execution.program import Place, Program, find_program

#: A shell that was found is not looked for again so soon: to go along the PATH takes longer than the rest of a start.
_KNOWN_SECONDS: Final = 1.0


class Shell:
    """``sh -c command args…`` or ``sh script args…``, with the shell that the job names."""

    def __init__(self) -> None:
        #: Path of each shell, and until when it is believed. Their names are few.
        self._known: dict[str, tuple[str, float]] = {}

    def program(self, spec: JobSpec, place: Place) -> Program:
        """Start the shell. Raises EngineFailed when it is not installed."""
        shell = self._path_of(spec.config.get("shell", "sh"))
        if place.script is not None:
            return Program([shell, str(place.script), *spec.args])
        return Program([shell, "-c", spec.config["command"], shell, *spec.args])

    def _path_of(self, name: str) -> str:
        path, until = self._known.get(name, ("", 0.0))
        now = time.monotonic()
        if now >= until:
            path = find_program(name)
            self._known[name] = path, now + _KNOWN_SECONDS
        return path
