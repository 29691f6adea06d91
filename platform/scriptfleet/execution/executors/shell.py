"""Shell commands and shell scripts."""

from scriptfleet.domain.job import JobSpec
from scriptfleet.execution.program import Place, Program, find_program


class Shell:
    """``sh -c command args…`` or ``sh script args…``, with the shell that the job names."""

    def program(self, spec: JobSpec, place: Place) -> Program:
        """Start the shell. Raises EngineFailed when it is not installed."""
        shell = find_program(spec.config.get("shell", "sh"))
        if place.script is not None:
            return Program([shell, str(place.script), *spec.args])
        return Program([shell, "-c", spec.config["command"], shell, *spec.args])
