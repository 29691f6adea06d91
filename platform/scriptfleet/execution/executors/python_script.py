"""Python scripts, run by this process's own interpreter."""

import platform
import sys

from scriptfleet.domain.job import JobSpec
from scriptfleet.execution.program import Place, Program


class PythonScript:
    """``python script args…``"""

    def program(self, spec: JobSpec, place: Place) -> Program:
        """Start the script with its arguments untouched."""
        return Program([sys.executable, str(place.script), *spec.args], python_version=platform.python_version())
