"""Python scripts, run by this process's own interpreter, the one that the job names, or uv."""

from scriptfleet.domain.job import JobSpec
from scriptfleet.errors import InvalidValue
from scriptfleet.execution.executors.inline_dependencies import uv_program, wants_uv
from scriptfleet.execution.executors.interpreter import interpreter_of
from scriptfleet.execution.program import Place, Program


class PythonScript:
    """``python script args…``"""

    def program(self, spec: JobSpec, place: Place) -> Program:
        """Start the script with its arguments untouched.

        Raises EngineFailed when the interpreter is not here, or uv for a script with inline dependencies.
        """
        if place.script is None:
            raise InvalidValue("source", None, "the script's bytes")
        if wants_uv(spec, place.script):
            return uv_program(spec, place, place.script)
        python, version = interpreter_of(spec)
        return Program([python, str(place.script), *spec.args], python_version=version)
