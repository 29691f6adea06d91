"""The port of executors: from a spec and a folder to the program that is started. One executor a kind."""

from typing import Protocol

from scriptfleet.domain.job import JobSpec
from scriptfleet.errors import InvalidValue
from scriptfleet.execution.executors.python_function import PythonFunction
from scriptfleet.execution.executors.python_script import PythonScript
from scriptfleet.execution.executors.shell import Shell
from scriptfleet.execution.program import Place, Program


class Executor(Protocol):
    """Knows how to start one kind of job."""

    def program(self, spec: JobSpec, place: Place) -> Program:
        """Give what to start. Raises EngineFailed when this machine lacks what the kind needs."""


EXECUTORS: dict[str, Executor] = {
    "python_script": PythonScript(),
    "shell": Shell(),
    "python_function": PythonFunction(),
}


def executor_of(kind: str) -> Executor:
    """Give the executor of a kind. Raises InvalidValue."""
    if kind not in EXECUTORS:
        raise InvalidValue("kind", kind, f"one of {', '.join(sorted(EXECUTORS))}: upgrade this worker")
    return EXECUTORS[kind]
