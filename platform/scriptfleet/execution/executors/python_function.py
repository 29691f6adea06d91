"""Python functions: imported by name, called with JSON arguments; what they return is JSON again."""

import json
from pathlib import Path

from scriptfleet.domain.job import JobSpec
from scriptfleet.execution.executors import function_main
from scriptfleet.execution.executors.interpreter import interpreter_of
from scriptfleet.execution.program import Place, Program


class PythonFunction:
    """A small program that imports the module from the run's folder or the installed packages, and calls."""

    def program(self, spec: JobSpec, place: Place) -> Program:
        """Write the call beside the run's folder and start the program that makes it.

        Raises EngineFailed when the interpreter is not here.
        """
        python, version = interpreter_of(spec)
        call, result = place.folder / "call.json", place.folder / "result.json"
        config = spec.config
        wanted = {name: config.get(name) for name in ("module", "function", "args", "kwargs")}
        call.write_text(json.dumps(wanted | {"result": str(result)}))
        argv = [python, str(Path(function_main.__file__)), str(call)]
        return Program(argv, python_version=version, result=result)
