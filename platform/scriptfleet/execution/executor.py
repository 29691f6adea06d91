"""The port of executors: from a spec and a folder to the program that is started. One executor a kind.

Built-in kinds are found by name, so that a run loads the code of its own kind alone. Installed packages add others by
entry points of the group ``scriptfleet.executors``: the entry's name is the kind, its object a class like those in
executors/. They are loaded when first asked for.
"""

import threading
from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from typing import Any, Final, Protocol

from scriptfleet.domain import kinds
from scriptfleet.domain.job import JobSpec
from scriptfleet.domain.kinds import Source
from scriptfleet.domain.value import value
from scriptfleet.errors import InvalidValue
from scriptfleet.execution.program import Place, Program
from scriptfleet.late_log import late_log

log = late_log("scriptfleet.executors")


class Executor(Protocol):
    """Knows how to start one kind of job.

    It may also have ``default_timeout`` (seconds, or None: the time limit of jobs that name none),
    ``supports_parallel`` (False: one run of the kind at a time in this process) and ``validate(config)``, which raises
    InvalidValue.
    """

    def program(self, spec: JobSpec, place: Place) -> Program:
        """Give what to start. Raises EngineFailed when this machine lacks what the kind needs."""


@value(frozen=True, slots=True)
class _Entry:
    executor: Executor
    default_timeout: float | None = None
    #: Held while a run of the kind goes on: a lock where one at a time may.
    turn: AbstractContextManager[object] = nullcontext()


#: Module in executors/ and class of each built-in kind.
_BUILT_IN: Final = {
    kinds.PYTHON_SCRIPT: ("python_script", "PythonScript"),
    kinds.SHELL: ("shell", "Shell"),
    kinds.PYTHON_FUNCTION: ("python_function", "PythonFunction"),
    kinds.HTTP_REQUEST: ("http_request", "HttpRequest"),
    kinds.FILE_OPERATION: ("file_operation", "FileOperation"),
}


class _Registry:
    def __init__(self) -> None:
        #: Kinds that were registered, and built-in ones once they were asked for.
        self.entries: dict[str, _Entry] = {}
        self.has_plugins = False
        #: Reentrant: code that is loaded may itself ask for kinds.
        self.guard = threading.RLock()

    def knows(self, kind: str) -> bool:
        return kind in self.entries or kind in _BUILT_IN

    def kinds(self) -> list[str]:
        return sorted({*self.entries, *_BUILT_IN})

    def entry(self, kind: str) -> _Entry:
        if kind not in self.entries:
            module, name = _BUILT_IN[kind]
            self.entries[kind] = _Entry(getattr(import_module(f"scriptfleet.execution.executors.{module}"), name)())
        return self.entries[kind]


_REGISTRY: Final = _Registry()


def register(kind: str, executor: Executor) -> None:
    """Add an executor for one more kind; a second one for the same kind takes the place of the first.

    Raises InvalidValue for a name that cannot be a kind's, that is built in, or an object that is no executor.
    """
    timeout, is_parallel = getattr(executor, "default_timeout", None), getattr(executor, "supports_parallel", True)
    if not callable(getattr(executor, "program", None)):
        raise InvalidValue("executor", type(executor).__name__, "an object with program(spec, place)")
    if timeout is not None and (isinstance(timeout, bool) or not isinstance(timeout, int | float) or timeout <= 0):
        raise InvalidValue("default_timeout", timeout, "seconds above 0, or None")
    if not isinstance(is_parallel, bool):
        raise InvalidValue("supports_parallel", is_parallel, "True or False")
    validate = getattr(executor, "validate", None)

    def verify(config: dict[str, Any], _source: Source | None) -> None:
        if validate is not None:
            validate(config)

    kinds.register_kind(kind, None, verify)
    _REGISTRY.entries[kind] = _Entry(executor, timeout, nullcontext() if is_parallel else threading.Lock())


def executor_of(kind: str) -> Executor:
    """Give the executor of a kind. Raises InvalidValue."""
    return _entry_of(kind).executor


def has_executor(kind: str) -> bool:
    """Tell whether this process can start jobs of a kind."""
    if not _REGISTRY.knows(kind):
        load_plugins()
    return _REGISTRY.knows(kind)


def executor_kinds() -> list[str]:
    """Give every kind that this process can start, those of installed packages too."""
    load_plugins()
    return _REGISTRY.kinds()


def timeout_of(spec: JobSpec) -> float | None:
    """Give the time limit of a job's run in seconds: its own, else its kind's; None means no limit."""
    return spec.timeout_seconds if spec.timeout_seconds is not None else _entry_of(spec.kind).default_timeout


def turn_of(kind: str) -> AbstractContextManager[object]:
    """Give what a run of the kind holds while it goes on: where its executor says so, one at a time has it."""
    return _entry_of(kind).turn


def load_plugins() -> None:
    """Register the executors of installed packages; done once. One that cannot be loaded is logged and left out."""
    with _REGISTRY.guard:
        if _REGISTRY.has_plugins:
            return
        _REGISTRY.has_plugins = True
        # Reading what is installed takes longer than a short run: no run of a built-in kind waits for it.
        for kind, where, load in import_module("scriptfleet.execution.plugins").installed_executors():
            try:
                register(kind, load()())
            except Exception as fault:
                # The edge to code of others: whatever it raises, the other kinds must go on.
                log.error("executor_left_out kind=%s from=%s reason=%s: %s", kind, where, type(fault).__name__, fault)  # noqa: TRY400


def _entry_of(kind: str) -> _Entry:
    if not has_executor(kind):
        known = ", ".join(_REGISTRY.kinds())
        raise InvalidValue("kind", kind, f"one of {known}: upgrade this worker, or install the package that has it")
    return _REGISTRY.entry(kind)


kinds.add_finder(load_plugins)
