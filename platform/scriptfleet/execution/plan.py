"""What the engine is asked to run. Plain values; all paths and variables already decided."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scriptfleet.domain.limits import Limits
from scriptfleet.domain.value import value


@value(frozen=True, slots=True)
class Plan:
    """One process to start and the bounds it runs in."""

    #: The program's absolute path, then its arguments.
    argv: Sequence[str]
    env: dict[str, str]
    cwd: Path
    #: Where standard output and standard error are kept.
    stdout: Path
    stderr: Path
    timeout_seconds: float | None = None
    grace_seconds: float = 5.0
    limits: Limits = Limits()
    #: CLOCK_MONOTONIC moment at which the shim ends the run unless told a later one; None means never.
    lease_until: float | None = None
    #: Whether output is also passed on to the standard output and error of this process.
    echo: bool = False
    #: Never to be seen in kept or passed-on output: each stands there as ``***``.
    masks: tuple[bytes, ...] = ()
    #: ``null``, or ``inherit`` for this process's own.
    stdin: str = "null"
    #: Run ``argv[0]``, a Python script, in a fork of an interpreter that has imported these; None means by exec.
    preload: tuple[str, ...] | None = None
    #: How it is set apart from the machine, in the shim's words (isolation/capabilities.py); None means not at all.
    isolation: Mapping[str, Any] | None = None
